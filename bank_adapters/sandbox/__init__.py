"""A bank in a process of its own: another party's program, with its own books and its own mind.

Of the broker it uses one file, the packet verifier, as any bank would. Everything else that it
knows of the broker came over a socket.
"""
