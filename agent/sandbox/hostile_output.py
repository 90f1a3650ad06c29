"""Hostile programs in what they print, raise, end with and are written like."""

from .hostile_program import Program

OUTPUT: tuple[Program, ...] = (
    Program(
        "endless output",
        "while True: print('x' * 100000)",
        ("limit", "timeout"),
    ),
    Program(
        "endless output without a line's end",
        """
        import sys
        while True:
            sys.stderr.write('x' * 4096)
        """,
        ("limit", "timeout"),
    ),
    Program(
        "output that is no text",
        """
        import os
        for i in range(100):
            os.write(1, os.urandom(100))
        print('\\ud800' if 0 else 'written')
        os.write(2, b'\\xff\\x00\\x1b[2J\\xed\\xa0\\x80')
        """,
        ("ok",),
    ),
    Program(
        "an exception with a huge text",
        "raise ValueError('x' * 10**7)",
        ("error",),
        "ValueError: xxx",
    ),
    Program(
        "an exception with broken text",
        """
        class E(Exception):

            def __str__(self):
                raise SystemExit
        raise E
        """,
        ("error",),
        "could not be read",
    ),
    Program(
        "an exception with half characters",
        "raise ValueError('\\ud800\\udfff\\x00')",
        ("error",),
        "ValueError",
    ),
    Program(
        "an exception of an evil type",
        """
        class M(type):

            @property
            def __name__(self):
                raise SystemExit

        class E(Exception, metaclass=M):
            pass
        raise E
        """,
        ("error",),
    ),
    Program(
        "evil __repr__",
        """
        class A:

            def __repr__(self):
                raise KeyboardInterrupt
        print(A())
        """,
        ("error",),
        "KeyboardInterrupt",
    ),
    Program(
        "os._exit",
        """
        print('bye', flush=True)
        import os
        os._exit(0)
        """,
        ("error",),
        "exit code 0",
    ),
    Program(
        "sys.exit",
        """
        import sys
        sys.exit(0)
        """,
        ("error",),
        "SystemExit",
    ),
    Program(
        "abort",
        """
        import os
        os.abort()
        """,
        ("error",),
        "SIGABRT",
    ),
    Program(
        "a crash",
        """
        import ctypes
        ctypes.string_at(8)
        """,
        ("error",),
        "SIGSEGV",
    ),
    Program(
        "replace the process",
        """
        import os
        os.execv('/python/bin/python', ['python', '-c', 'print(1)'])
        """,
        ("error",),
    ),
)

SOURCE: tuple[Program, ...] = (
    Program(
        "deep recursion",
        """
        def f():
            return f()
        f()
        """,
        ("error",),
        "RecursionError",
    ),
    Program(
        "recursion without a limit",
        """
        import sys
        sys.setrecursionlimit(10 ** 9)

        class A:

            def __getattr__(self, k):
                return getattr(self, k)
        A().x
        """,
        ("error", "timeout", "limit"),
    ),
    Program(
        "nested parentheses",
        "x = " + "(" * 5000 + ")" * 5000,
        ("error",),
    ),
    Program(
        "nested operators",
        "x = " + "-" * 200_000 + "1",
        ("error",),
    ),
    Program(
        "null bytes",
        "x = 1\x00",
        ("error",),
        "null bytes",
    ),
    Program(
        "half characters in the source",
        "x = '\ud800'",
        ("ok", "error"),
    ),
    Program(
        "a huge literal",
        "x = " + "9" * 100_000,
        ("error",),
    ),
    Program(
        "a huge constant expression",
        "x = (1, 2, 3) * 10 ** 9",
        ("error", "limit"),
        "emory",
    ),
    Program(
        "a string that is all lines",
        "\n" * 100_000 + "1 / 0",
        ("error",),
        "line 100001",
    ),
)
