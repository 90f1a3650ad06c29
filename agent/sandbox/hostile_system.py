"""Hostile programs that reach for files, the network, the kernel and other processes."""

from .hostile_program import PRELUDE, Program, attempt, native

FILES: tuple[Program, ...] = (
    attempt(
        "read /etc/passwd",
        "refused(lambda: open('/etc/passwd').read())",
    ),
    attempt(
        "read /etc/shadow",
        "refused(lambda: open('/etc/shadow').read())",
    ),
    attempt(
        "read a file outside",
        "refused(lambda: open('@SECRET_FILE@').read())",
    ),
    attempt(
        "write a file outside",
        "refused(lambda: open('@SECRET_FILE@', 'a').write('changed'))",
    ),
    attempt(
        "list the home folder",
        """
        import os
        refused(lambda: os.listdir('@HOME@'))
        """,
    ),
    attempt(
        "list /home and /root",
        """
        import os
        for d in ('/home', '/root', '/var', '/run'):
            refused(lambda: os.listdir(d))
        """,
    ),
    attempt(
        "read our repository",
        "refused(lambda: open('@REPOSITORY@/agent/transcript.py').read())",
    ),
    attempt(
        "change the worker's file",
        """
        refused(lambda: open('/sandbox/worker.py', 'w'))
        import os
        refused(lambda: os.remove('/sandbox/protocol.py'))
        """,
    ),
    attempt(
        "change the interpreter",
        """
        import os, numpy
        refused(lambda: open(os.__file__, 'a'))
        refused(lambda: open(numpy.__file__, 'a'))
        refused(lambda: os.chmod(os.__file__, 0o777))
        """,
    ),
    attempt(
        "a symlink out of /tmp",
        """
        import os
        os.symlink('@SECRET_FILE@', 'a')
        refused(lambda: open('a').read())
        os.symlink('/../../../../etc', 'b')
        refused(lambda: os.listdir('b'))
        refused(lambda: os.listdir('/tmp/../../etc'))
        """,
    ),
    attempt(
        "a hard link out of /tmp",
        """
        import os
        refused(lambda: os.link('/sandbox/worker.py', '/tmp/w'))
        """,
    ),
    attempt(
        "files anywhere but /tmp",
        """
        for d in ('/', '/dev', '/dev/shm', '/usr', '/usr/lib', '/python', '/sandbox', '/python/packages'):
            refused(lambda: open(d + '/x', 'w'))
        """,
    ),
    attempt(
        "raw memory and disks",
        """
        for d in ('mem', 'kmem', 'port', 'sda', 'vda', 'nvme0n1', 'kvm', 'fuse', 'nvidia0', 'loop-control'):
            refused(lambda: open('/dev/' + d, 'rb'))
        """,
    ),
    attempt(
        "make a device",
        """
        import os, stat
        refused(lambda: os.mknod('/tmp/d', 0o600 | stat.S_IFBLK, os.makedev(8, 0)))
        """,
    ),
    attempt(
        "/proc and /sys",
        """
        import os
        for d in ('/proc', '/sys', '/proc/self', '/sys/kernel', '/proc/@PID@'):
            refused(lambda: os.listdir(d))
        """,
    ),
    attempt(
        "/proc/1/environ",
        """
        refused(lambda: open('/proc/1/environ').read())
        refused(lambda: open('/proc/@PID@/environ').read())
        """,
    ),
    Program(
        "the environment",
        """
        import os
        print('LEAK' if '@SECRET_NAME@' in os.environ else sorted(os.environ))
        import ctypes
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_char_p
        print(libc.getenv(b'@SECRET_NAME@'), libc.getenv(b'PATH'))
        """,
        says="None None",
    ),
    Program(
        "read standard input",
        """
        import sys
        print('empty' if sys.stdin.read() == '' else 'LEAK')
        """,
        says="empty",
    ),
    Program(
        "search every open file",
        """
        import os
        for f in range(3, 256):
            try:
                if not os.path.stat.S_ISFIFO(os.fstat(f).st_mode):
                    print('LEAK', f, os.fstat(f))
            except OSError:
                pass
        print('searched')
        """,
        says="searched",
    ),
    attempt(
        "run other programs",
        """
        import os, subprocess
        for p in ('/bin/sh', '/usr/bin/python3', '/bin/su'):
            refused(lambda: subprocess.run([p]))
        refused(lambda: os.listdir('/usr/bin'))
        """,
    ),
)

NETWORK: tuple[Program, ...] = (
    attempt(
        "connect out by TCP",
        """
        import socket
        refused(lambda: socket.create_connection(('127.0.0.1', @TCP@), 1))
        refused(lambda: socket.create_connection(('1.1.1.1', 443), 1))
        """,
    ),
    attempt(
        "send by UDP",
        """
        import socket
        refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'@PID@', ('127.0.0.1', @UDP@)))
        """,
    ),
    attempt(
        "ask the DNS",
        """
        import socket
        refused(lambda: socket.getaddrinfo('example.org', 443))
        """,
    ),
    attempt(
        "an abstract Unix socket",
        """
        import socket
        refused(lambda: socket.socket(socket.AF_UNIX).connect('\\0@ABSTRACT@'))
        """,
    ),
    attempt(
        "raw, packet, netlink and vsock sockets",
        """
        import socket
        for f, t in ((2, 3), (17, 3), (16, 3), (10, 1), (40, 1), (38, 5), (1 + 1, 1)):
            refused(lambda: socket.socket(f, t))
        """,
    ),
    attempt(
        "download",
        """
        import urllib.request
        refused(lambda: urllib.request.urlopen('http://127.0.0.1:@TCP@/', timeout=1))
        """,
    ),
    attempt(
        "send an open file",
        """
        import os, socket

        def send():
            for f in range(3, 64):
                try:
                    os.fstat(f)
                except OSError:
                    continue
                socket.send_fds(socket.socket(fileno=os.dup(f)), [b'x'], [1])
        refused(send)
        """,
    ),
)

KERNEL: tuple[Program, ...] = (
    native(
        "ptrace the first process",
        "libc.ptrace(16, 1, 0, 0)",
    ),
    native(
        "ptrace our process",
        "libc.ptrace(16, @PID@, 0, 0)",
    ),
    native(
        "ptrace a child",
        "libc.ptrace(0, 0, 0, 0)",
    ),
    native(
        "read the first process's memory",
        "libc.process_vm_readv(1, None, 0, None, 0, 0)",
    ),
    native(
        "mount a file system",
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    ),
    native(
        "unmount",
        "libc.umount2(b'/tmp', 2)",
    ),
    native(
        "new user namespace",
        "libc.unshare(0x10000000)",
    ),
    native(
        "new mount and process namespaces",
        "libc.unshare(0x20020000)",
    ),
    native(
        "clone into a user namespace",
        """
        libc.syscall(56 if os.uname().machine == 'x86_64' else 220, 0x10000011, 0, 0, 0, 0)
        """,
    ),
    native(
        "enter our namespaces",
        "libc.setns(0, 0)",
    ),
    native(
        "chroot",
        "libc.chroot(b'/tmp')",
    ),
    native(
        "become root",
        "libc.setuid(0)",
    ),
    native(
        "get capabilities",
        "libc.setgroups(0, None)",
    ),
    native(
        "reboot",
        "libc.reboot(0x1234567)",
    ),
    native(
        "set the clock",
        "libc.settimeofday(ctypes.byref((ctypes.c_long * 2)(0, 0)), None)",
    ),
    native(
        "set the host name",
        "libc.sethostname(b'x', 1)",
    ),
    native(
        "keyring",
        "libc.syscall(250 if os.uname().machine == 'x86_64' else 219, 0, -3, 0)",
    ),
    native(
        "BPF",
        """
        libc.syscall(321 if os.uname().machine == 'x86_64' else 280, 0, None, 0)
        """,
    ),
    native(
        "raise the limits",
        """
        libc.setrlimit(7, ctypes.byref((ctypes.c_ulong * 2)(1 << 20, 1 << 20)))
        """,
    ),
    Program(
        "kill our process",
        """
        import os, signal
        refused(lambda: os.kill(@PID@, signal.SIGKILL))
        for s in (signal.SIGTERM, signal.SIGSTOP):
            try:
                os.kill(os.getppid(), s)
            except OSError:
                pass
        print('parent', os.getppid())
        """,
        ("ok",),
        "refused",
        prelude=PRELUDE,
    ),
    Program(
        "kill(-1)",
        """
        import os, signal
        print('trying')
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError as error:
            print(error)
        """,
        ("ok", "error"),
        "trying",
    ),
    Program(
        "a foreign calling convention",
        """
        import ctypes, mmap
        m = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)  # writable and executable
        m.write(bytes([184, 20, 0, 0, 0, 205, 128, 195]))
        print('LEAK', ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())
        """,
        ("error",),
        "SIG",
    ),
)
