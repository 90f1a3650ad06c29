"""A system call filter, written out as the classic BPF program that bubblewrap loads (`--seccomp`).

It is a second wall behind the namespaces, and it closes what memory accounting cannot see: anonymous shared memory
(memfd, System V, MAP_SHARED|MAP_ANONYMOUS) is charged to nobody while no page table maps it. A refused call fails
with EPERM; a call by a foreign calling convention kills the process. Numbers are those of the kernel's
`asm/unistd_64.h` (x86-64) and `asm-generic/unistd.h` (AArch64); the program's form is described in the kernel's
`Documentation/userspace-api/seccomp_filter.rst`.
"""

import errno
import platform
import socket
import struct

from ...models.errors import UserError

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column below, AUDIT_ARCH_*

# name: number on x86-64, on AArch64 (None: does not exist there)
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "move_pages": (279, 239), "migrate_pages": (256, 238),
    # file systems and namespaces
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "mknod": (133, None), "mknodat": (259, 33),
    # kernel memory and shared memory that belongs to no process
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
    # large attack surfaces that no experiment needs
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "personality": (135, 92),
    "lookup_dcookie": (212, 18), "modify_ldt": (154, None), "uselib": (134, None), "vmsplice": (278, 75),
    # the machine
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "syslog": (103, 116), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, None), "ioperm": (173, None), "vhangup": (153, 58),
}  # fmt: skip
CLONE, CLONE3, SOCKET, MMAP = (56, 220), (435, 435), (41, 198), (9, 222)

NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
SHARED_ANONYMOUS = 0x21  # MAP_SHARED | MAP_ANONYMOUS
X32_BIT = 0x40000000

ALLOW, KILL = 0x7FFF0000, 0x80000000  # SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS
LOAD, AND, RETURN = 0x20, 0x54, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_RET|K
JUMP_EQUAL, JUMP_GREATER_OR_EQUAL, JUMP_ANY_BIT = 0x15, 0x35, 0x45
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data


def _fail(code: int) -> int:
    return 0x00050000 | code  # SECCOMP_RET_ERRNO


def build_filter(machine: str | None = None) -> bytes:
    """The program for a machine ("x86_64" or "aarch64"; None: this one), as an array of struct sock_filter.

    Raises UserError on other architectures.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        raise UserError(
            f"The sandbox has no system call filter for {machine}: use x86_64 or aarch64, or --sandbox none."
        )
    column, audit = ARCHITECTURES[machine]
    refused, unknown = _fail(errno.EPERM), _fail(errno.ENOSYS)
    code = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if machine == "x86_64":
        code += [(JUMP_GREATER_OR_EQUAL, 0, 1, X32_BIT), (RETURN, 0, 0, KILL)]
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, refused)]
    # clone3 hides its flags behind a pointer: "no such call" makes the C library take clone instead.
    code += [(JUMP_EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, unknown)]
    code += _with_argument(CLONE[column], 0, [(JUMP_ANY_BIT, 0, 1, NAMESPACE_FLAGS), (RETURN, 0, 0, refused)])
    code += _with_argument(SOCKET[column], 0, [(JUMP_EQUAL, 1, 0, socket.AF_UNIX), (RETURN, 0, 0, refused)])
    masked = [(AND, 0, 0, SHARED_ANONYMOUS), (JUMP_EQUAL, 0, 1, SHARED_ANONYMOUS), (RETURN, 0, 0, refused)]
    code += _with_argument(MMAP[column], 3, masked)
    code.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _with_argument(
    number: int, argument: int, test: list[tuple[int, int, int, int]]
) -> list[tuple[int, int, int, int]]:
    """Run `test` on the low word of an argument of one system call, and allow the call if it falls through."""
    body = [(LOAD, 0, 0, FIRST_ARGUMENT + 8 * argument), *test, (RETURN, 0, 0, ALLOW)]
    return [(JUMP_EQUAL, 0, len(body), number), *body]
