"""Hostile programs that use up processes, memory and time."""

from .hostile_program import Program, attempt, native

PROCESSES: tuple[Program, ...] = (
    Program(
        "fork bomb",
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        ("timeout", "limit"),
    ),
    Program(
        "a tree of children that hold memory",
        """
        import os, time
        for i in range(8):
            if os.fork() == 0:
                b = bytearray(60 << 20)
                for k in range(0, len(b), 4096):
                    b[k] = 1
                time.sleep(1000)
        time.sleep(1000)
        """,
        ("limit",),
        "memory",
    ),
    Program(
        "thread bomb",
        """
        import threading, time
        started = 0
        try:
            while True:
                threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
                started += 1
        except RuntimeError:
            print('LEAK' if started > 64 else 'no more threads')
        """,
        ("ok",),
        "no more threads",
    ),
    Program(
        "orphans that leave the session",
        """
        import os, time
        for i in range(4):
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
                while True:
                    time.sleep(1)
        print('left behind')
        """,
        ("ok",),
        "left behind",
    ),
    Program(
        "orphans that ignore signals and work",
        """
        import os, signal
        for i in range(3):
            if os.fork() == 0:
                os.setsid()
                for s in range(1, 65):
                    try:
                        signal.signal(s, signal.SIG_IGN)
                    except (OSError, ValueError):
                        pass
                if os.fork():
                    os._exit(0)
                while True:
                    pass
        print('left behind')
        """,
        ("ok",),
        "left behind",
    ),
    Program(
        "two processes that both finish",
        """
        import os
        os.fork()
        print('twice')
        """,
        ("ok",),
        "twice",
    ),
    Program(
        "a child that calls",
        """
        import os
        if os.fork() == 0:
            try:
                system.neuron([1])
            except RuntimeError as error:
                print('refused', error)
            import sys
            sys.stdout.flush()
            os._exit(0)
        os.wait()
        """,
        ("ok",),
        "refused",
    ),
)

MEMORY: tuple[Program, ...] = (
    Program(
        "memory by a list",
        """
        x = []
        while True:
            x.append(bytearray(1 << 22))
        """,
        ("error", "limit"),
        "emory",
    ),
    Program(
        "memory by one array",
        """
        import numpy
        x = numpy.ones(1 << 36)
        """,
        ("error",),
        "emory",
    ),
    Program(
        "memory by private mappings",
        """
        import mmap
        x = []
        while True:
            m = mmap.mmap(-1, 1 << 24, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for k in range(0, 1 << 24, 4096):
                m[k] = 1
            x.append(m)
        """,
        ("error", "limit"),
        "emory",
    ),
    attempt(
        "hide memory in shared mappings",
        """
        import mmap
        refused(lambda: mmap.mmap(-1, 1 << 20))
        """,
    ),
    attempt(
        "hide memory in memfd",
        """
        import os
        refused(lambda: os.memfd_create('x'))
        """,
    ),
    native(
        "hide memory in System V segments",
        "libc.shmget(0, 1 << 20, 0o1666)",
    ),
    attempt(
        "fill the disk by one file",
        """
        def fill():
            with open('/tmp/x', 'wb') as file:
                while True:
                    file.write(bytes(1 << 16))
        refused(fill)
        """,
    ),
    attempt(
        "fill the disk by many files",
        """
        def fill():
            for i in range(1000):
                with open(f'/tmp/{i}', 'wb') as file: file.write(bytes(1 << 16))
        refused(fill)
        """,
    ),
    Program(
        "inodes",
        """
        i = 0
        while True:
            i += 1
            open(f'/tmp/{i}', 'w').close()
        """,
        ("limit", "timeout", "error"),
    ),
    Program(
        "a picture bomb",
        """
        from PIL import Image
        Image.MAX_IMAGE_PIXELS = None
        tools.text2image(Image.new('RGB', (10**5, 10**5)))
        """,
        ("error",),
        "emory",
    ),
    Program(
        "a picture of impossible shape",
        """
        from PIL import Image
        tools.text2image(Image.new('L', (10**5, 10)))
        """,
        ("error",),
        "4096 pixels a side",
    ),
    Program(
        "a huge argument",
        "tools.text2image(['x' * 1000] * 10**6)",
        ("error",),
        "at most 4 MiB",
    ),
)

TIME: tuple[Program, ...] = (
    Program(
        "an endless loop",
        """
        print('on', end='')
        while True:
            pass
        """,
        ("timeout",),
        "seconds",
    ),
    Program(
        "endless sleep",
        """
        import time
        while True:
            try:
                time.sleep(10 ** 6)
            except BaseException:
                pass
        """,
        ("timeout",),
        "seconds",
    ),
    Program(
        "a loop inside one C call",
        "x = 3 ** (10 ** 9)",
        ("timeout", "limit", "error"),
    ),
    Program(
        "a catastrophic regular expression",
        """
        import re
        re.match('(a+)+$', 'a' * 60 + 'b')
        """,
        ("timeout",),
    ),
    Program(
        "ignore every signal",
        """
        import signal
        for s in range(1, 65):
            try:
                signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            pass
        """,
        ("timeout",),
    ),
    Program(
        "handlers that go on",
        """
        import signal, os
        for s in (1, 2, 15, 24, 14):
            signal.signal(s, lambda *a: print('going on'))
        os.kill(os.getpid(), 15)
        while True:
            pass
        """,
        ("timeout",),
        "going on",
    ),
    Program(
        "catch everything for ever",
        """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        ("timeout",),
    ),
    Program(
        "atexit handlers",
        """
        import atexit

        def loop():
            while True:
                pass
        atexit.register(loop)
        print('registered')
        """,
        ("ok",),
        "registered",
    ),
    Program(
        "threads that outlive the code",
        """
        import threading

        def loop():
            while True:
                pass
        threading.Thread(target=loop).start()
        print('over')
        """,
        ("ok",),
        "over",
    ),
    Program(
        "__del__ that loops",
        """
        class A:

            def __del__(self):
                while True:
                    pass
        a = A()
        print('made')
        """,
        ("ok",),
        "made",
    ),
    Program(
        "a trace function that loops",
        """
        import sys

        def trace(*a):
            while True:
                pass
        sys.settrace(trace)

        def f():
            pass
        f()
        """,
        ("timeout",),
    ),
    Program(
        "an exception whose text loops",
        """
        class E(Exception):

            def __str__(self):
                while True:
                    pass
        raise E
        """,
        ("timeout",),
    ),
    Program(
        "an argument whose items loop",
        """
        class L(list):

            def __iter__(self):
                while True:
                    yield 1
        system.neuron(L())
        """,
        ("timeout", "limit", "error"),
    ),
)
