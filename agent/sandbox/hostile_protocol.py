"""Hostile programs that abuse the API and the pipe beneath it."""

from .hostile_program import Program, by_hand, forged

PROTOCOL: tuple[Program, ...] = (
    forged(
        "garbage on the pipe",
        "os.write(WRITE, os.urandom(64)); frame(b'')",
    ),
    forged(
        "a length of 4 GiB",
        "os.write(WRITE, struct.pack('>II', 2**32 - 1, 0)); frame(b'{}')",
    ),
    forged(
        "pixels of 4 GiB",
        "os.write(WRITE, struct.pack('>II', 2, 2**32 - 1)); frame(b'{}')",
    ),
    by_hand(
        "a frame cut short",
        """
        os.write(WRITE, struct.pack('>II', 100, 0) + b'{')
        os._exit(0)
        """,
        ("error",),
        "exit code 0",
    ),
    by_hand(
        "a frame that never ends",
        """
        os.write(WRITE, struct.pack('>II', 100, 0) + b'{')
        while True:
            pass
        """,
        ("timeout",),
    ),
    forged(
        "JSON nested deep",
        "frame(b'[' * 20000 + b']' * 20000)",
    ),
    forged(
        "values nested deep",
        """
        x = []
        for i in range(200):
            x = [x]
        frame(call(args=x))
        """,
    ),
    forged(
        "not an object",
        "frame(b'[1, 2]')",
    ),
    forged(
        "a frame of no type",
        "frame({'images': []})",
    ),
    forged(
        "a type that is a list",
        "frame({'type': ['call'], 'images': []})",
    ),
    forged(
        "a method that does not exist",
        "frame(call('system.__class__'))",
    ),
    forged(
        "a method that is a path",
        "frame(call('os.system', ['id']))",
    ),
    forged(
        "arguments that are no list",
        "frame(call(args={'t': []}))",
    ),
    forged(
        "keyword arguments with numbers for names",
        "frame(call(kwargs={'d': [[1, 2]]}))",
    ),
    forged(
        "a reference to no picture",
        "frame(call(args=[{'i': 5}]))",
    ),
    forged(
        "a picture without pixels",
        """
        frame(call(args=[{'i': 0}], images=[{'mode': 'RGB', 'size': [4000, 4000]}]))
        """,
    ),
    forged(
        "a picture of 10^10 pixels",
        "frame(call(images=[{'mode': 'RGB', 'size': [10**5, 10**5]}]))",
    ),
    forged(
        "a picture of negative size",
        "frame(call(images=[{'mode': 'RGB', 'size': [-1, -1]}]), b'xxx')",
    ),
    forged(
        "a picture of an unknown mode",
        "frame(call(images=[{'mode': '__import__', 'size': [1, 1]}]))",
    ),
    forged(
        "NaN by hand",
        "frame(call(args=[float('nan')]))",
    ),
    forged(
        "an integer of 10^4000",
        """
        frame(json.dumps(call(args=['N'])).encode().replace(b'"N"', b'1' + b'0' * 4000))
        """,
    ),
    forged(
        "an outcome that does not exist",
        """
        frame({'type': 'done', 'outcome': 'LEA' + 'K', 'error': '', 'images': []})
        """,
    ),
    forged(
        "a pickle",
        """
        import pickle
        frame(pickle.dumps({'type': 'done'}))
        """,
    ),
    by_hand(
        "a forged end",
        "frame({'type': 'done', 'outcome': 'ok', 'error': '', 'images': []})",
        ("ok",),
    ),
    by_hand(
        "forged half characters",
        """
        frame({'type': 'done', 'outcome': 'error', 'error': '\\ud800x', 'images': []})
        """,
        ("error",),
        "x",
    ),
    by_hand(
        "close the pipe",
        """
        os.close(WRITE)
        while True:
            pass
        """,
        ("error",),
        "closed its pipe",
    ),
    by_hand(
        "never read the results",
        """
        for i in range(50):
            os.write(WRITE, (lambda b: struct.pack('>II', len(b), 0) + b)(json.dumps(call(args=['big'])).encode()))
        while True:
            pass
        """,
        ("timeout",),
    ),
    by_hand(
        "read the results away",
        """
        import threading
        threading.Thread(target=lambda: [os.read(READ, 100) for i in range(50)], daemon=True).start()
        for i in range(50):
            system.neuron([i])
        """,
        ("error", "timeout", "ok"),
    ),
    Program(
        "a million calls",
        "for i in range(10**6): system.neuron(i)",
        ("limit",),
        "calls",
    ),
    Program(
        "calls from many threads",
        """
        import threading
        t = [threading.Thread(target=lambda: [system.neuron(i) for i in range(5)]) for i in range(4)]
        for x in t:
            x.start()
        for x in t:
            x.join()
        print('joined')
        """,
        ("ok",),
        "joined",
    ),
    Program(
        "a call inside a call",
        """
        class L(list):
            def __iter__(self):
                system.neuron(1)
                return iter([2])
        print(system.neuron(L()))
        """,
        ("ok",),
    ),
    Program(
        "methods that do not exist",
        "system.shutdown()",
        ("error",),
        "it has neuron",
    ),
    Program(
        "methods that Python has",
        """
        print(system.neuron.__globals__['os'].getpid())
        print(system.__class__.__mro__[-1].__subclasses__()[:1])
        """,
        ("ok",),
    ),
    Program(
        "a list that holds itself",
        """
        x = []
        x.append(x)
        system.neuron(x)
        """,
        ("error",),
        "nested",
    ),
    Program(
        "arguments that cannot be sent",
        "system.neuron(lambda: 1)",
        ("error",),
        "cannot pass",
    ),
    Program(
        "NaN and infinity",
        """
        for x in (float('nan'), float('inf')):
            try:
                system.neuron(x)
            except ValueError as error:
                print(error)
        """,
        ("ok",),
        "finite",
    ),
    Program(
        "change the worker",
        """
        import sys
        m = sys.modules['__main__']
        m.Channel.call = lambda *a: 'mine'
        m.describe_error = m.flush_output = None
        sys.modules['protocol'].build_frame = None
        sys.modules['os'].getpid = lambda: 1
        1 / 0
        """,
        ("error",),
    ),
    Program(
        "change the builtins",
        """
        import builtins
        builtins.isinstance = builtins.len = builtins.str = lambda *a: 1 / 0
        system.neuron(1)
        """,
        ("error",),
    ),
)
