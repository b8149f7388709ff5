"""How are certificates linted outside the service? `python -m directory.lint_process`, which it starts.

It is told certificates that nobody has signed, and has no key; it reads no settings and opens no database. It
says that it is ready with an empty message, and ends when the other end of its connection is gone.
"""

import signal
import sys
from multiprocessing.connection import Connection

from ca.linting import Linter
from directory.lint_messages import Question, answered


def serve(connection: Connection) -> None:
    """Lint what is sent, one certificate after the other, until nobody sends any more."""
    linter = Linter()
    linter.warm()
    try:
        connection.send_bytes(b"")
        while True:
            question = Question.decoded(connection.recv_bytes())
            connection.send_bytes(answered(linter.findings(question.der, question.purpose)))
    except (EOFError, ConnectionError):
        return


if __name__ == "__main__":
    # A service that is told to stop still ends the mints that are under way.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(Connection(int(sys.argv[1])))
