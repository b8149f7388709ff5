"""How is a token used that may be slow, hang, be taken away and come back? By one thread, with a time limit.

A PKCS#11 library need not stand calls from several threads at once, and a call into it cannot be broken off.
So one thread makes all calls, one after the other, and callers wait for it as long as they may. A caller who
has waited too long leaves; what the token still signs for him is seen by nobody. From then on everybody is
refused at once, until `check` finds the token in order again, or a call that took longer comes back: while a
key pair is made, which may take minutes, nothing is signed, but the token is there.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

from ca.errors import PinRefused, SignerUnavailable, TokenDeclined, TokenKeyMissing
from ca.keys import KeyAlgorithm, PublicKey
from ca.pkcs11.port import SigningMechanism, TokenDriver

Result = TypeVar("Result")
_Order: TypeAlias = tuple["Future[None]", Callable[[], None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimits:
    """How long a caller waits for the token, in seconds."""

    sign: float = 1.5
    """For a signature; somebody waits for it with a transaction open."""
    connect: float = 10.0
    """For a login."""
    generate: float = 300.0
    """For a key pair: some tokens take minutes for RSA-4096."""


class TokenThread:
    """A token, and the thread that talks to it. Safe to share among threads.

    The thread begins with the first call. It is a daemon: a call that never returns does not keep the process
    from ending.
    """

    def __init__(self, driver: TokenDriver, limits: TokenLimits) -> None:
        self._driver = driver
        self._limits = limits
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._closed: Future[None] = Future()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connected = False
        self._lost: SignerUnavailable | None = None
        self._missing: dict[bytes, SignerUnavailable] = {}
        self._replaceable: set[bytes] = set()

    @property
    def label(self) -> str:
        """The token's label."""
        return self._driver.label

    @property
    def problem(self) -> SignerUnavailable | None:
        """What keeps it from signing, as last known; None if nothing does.

        That a key is missing is its problem too, unless another one takes its place.
        """
        missing = (error for key_id, error in self._missing.items() if key_id not in self._replaceable)
        return self._lost or next(missing, None)

    def require(self, key_id: bytes) -> None:
        """Return unless it is known that this key cannot sign now; asks nobody.

        Raises:
            SignerUnavailable: it is.
        """
        known = self._lost or self._missing.get(key_id)
        if known is not None:
            raise _again(known)

    def sign(self, key_id: bytes, mechanism: SigningMechanism, octets: bytes) -> bytes:
        """Return the signature over `octets`.

        A session that has ended meanwhile, as after a restart of the token, is opened anew, once.

        Raises:
            SignerUnavailable: the token does not sign now.
        """
        self.require(key_id)

        def work() -> bytes:
            if self._connected:
                try:
                    return self._driver.sign(key_id, mechanism, octets)
                except SignerUnavailable:
                    self._connected = False
            self._connect()
            return self._driver.sign(key_id, mechanism, octets)

        try:
            return self._call(work, self._limits.sign)
        except TokenKeyMissing as error:
            self._missing[key_id] = _again(error)
            raise

    def check(self) -> SignerUnavailable | None:
        """Find out whether it is in order, and put it so if possible; return what is wrong.

        While it signs, nothing is asked of it.
        """
        if self._lost is None and self._connected and not self._missing:
            return None
        try:
            self._call(self._look_again, self._limits.connect)
        except SignerUnavailable:
            pass
        else:
            self._lost = None
        return self.problem

    def generate(self, algorithm: KeyAlgorithm, key_id: bytes, label: str) -> PublicKey:
        """Make a key pair in the token; return its public half.

        Raises:
            TokenDeclined: it does not; others sign all the same.
            SignerUnavailable: it does not answer.
        """
        return self._ask(lambda: self._driver.generate(algorithm, key_id, label), self._limits.generate)

    def has_key(self, key_id: bytes) -> bool:
        """Tell whether it has a private key of this CKA_ID.

        What is not found is looked for once more after another login: without one, private keys are not seen.

        Raises:
            SignerUnavailable: the token does not answer.
        """

        def work() -> None:
            if self._connected:
                try:
                    return self._driver.require_key(key_id)
                except SignerUnavailable:
                    self._connected = False
            self._connect()
            return self._driver.require_key(key_id)

        try:
            self._call(work, self._limits.connect)
        except TokenKeyMissing:
            return False
        return True

    def destroy(self, key_id: bytes) -> bool:
        """Destroy the key pair of this CKA_ID in the token; tell whether there was one.

        Raises:
            TokenDeclined: it does not; others sign all the same.
            SignerUnavailable: it does not answer.
        """
        destroyed = self._ask(lambda: self._driver.destroy(key_id), self._limits.connect)
        self.dismiss(key_id)
        return destroyed

    def dismiss(self, key_id: bytes) -> None:
        """Miss a key no more, which nobody will sign with again; asks nobody."""
        self._missing.pop(key_id, None)
        self._replaceable.discard(key_id)

    def may_replace(self, key_id: bytes) -> None:
        """Know that another key takes the place of this one if it is missing; asks nobody."""
        self._replaceable.add(key_id)

    def misses(self, key_id: bytes) -> bool:
        """Tell whether the token is in order, as last known, and has no such key; asks nobody."""
        return self._lost is None and key_id in self._missing

    def look_for(self, key_id: bytes) -> None:
        """Find out whether it has a key, for `misses`; while the token is away, that is not known."""
        if self._lost is None:
            with suppress(SignerUnavailable):
                if not self.has_key(key_id):
                    reason = f"has no private key of CKA_ID {key_id.hex()}"
                    self._missing[key_id] = SignerUnavailable(self.label, reason)

    def public_keys(self) -> Mapping[bytes, PublicKey]:
        """Return the public halves of its private keys that are of a kind we use, by CKA_ID.

        Raises:
            SignerUnavailable: the token does not answer.
        """
        return self._ask(self._driver.public_keys, self._limits.connect)

    def close(self) -> None:
        """Log out after what is under way, if the token still answers; nobody waits for it any more then."""
        with self._lock:
            thread, self._thread = self._thread, None
            closed, self._closed = self._closed, Future()
        if thread is not None:
            self._orders.put(None)
            thread.join(self._limits.sign)
        closed.set_result(None)

    def _connect(self) -> None:
        self._connected = False
        self._driver.connect()
        self._connected = True

    def _ask(self, ask: Callable[[], Result], seconds: float) -> Result:
        """Ask for what is no signature. That an answer comes shows that the token is there."""

        def work() -> Result:
            if not self._connected:
                self._connect()
            try:
                return ask()
            except TokenDeclined:
                self._connected = False  # some libraries answer so when the token is gone: look anew
                raise

        answer = self._call(work, seconds)
        self._lost = None
        return answer

    def _look_again(self) -> None:
        if self._lost is not None or not self._connected:
            self._connect()
        for key_id in tuple(self._missing):
            try:
                self._driver.require_key(key_id)
            except TokenKeyMissing:
                continue
            self._missing.pop(key_id, None)

    def _call(self, work: Callable[[], Result], seconds: float) -> Result:
        outcome: list[Result] = []
        done: Future[None] = Future()
        closed = self._begin()
        self._orders.put((done, lambda: outcome.append(work())))
        ended, _ = wait((done, closed), seconds, FIRST_COMPLETED)
        if closed in ended and done not in ended:
            done.cancel()
            raise SignerUnavailable(self.label, "is not waited for any more")
        try:
            done.result(0)
        except TimeoutError:
            done.cancel()
            self._lost = SignerUnavailable(self.label, f"has not answered within {seconds:g} s")
            raise _again(self._lost) from None
        except (TokenKeyMissing, TokenDeclined):
            raise
        except SignerUnavailable as error:
            self._lost = _again(error)
            raise
        return outcome[0]

    def _begin(self) -> Future[None]:
        """Have the thread at work; return what ends when it is closed."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="PKCS#11", daemon=True)
                self._thread.start()
            return self._closed

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            done, work = order
            if not done.set_running_or_notify_cancel():
                continue
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is whoever asked who has to know
                done.set_exception(error)
            else:
                done.set_result(None)
        self._connected = False
        self._driver.close()


def _again(error: SignerUnavailable) -> SignerUnavailable:
    """Return the same news for others: an exception belongs to whoever it was raised for, with his frames."""
    kind = PinRefused if isinstance(error, PinRefused) else SignerUnavailable
    return kind(error.token, error.reason)
