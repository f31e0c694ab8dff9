"""The compiled way of every frame (native/): what Python sees of it."""

from collections.abc import Callable
from typing import Any

def tables(classes: bytes, kinds: bytes, /) -> None: ...

class Pattern:
    def __new__(cls, *fields: tuple[str, str, str, int, int, bool]) -> Pattern: ...
    def match(self, data: bytes, owns: tuple[bytes, bytes, bytes], following: bytes, /) -> bytes | int | None: ...

class Pen:
    def __new__(
        cls,
        write: Callable[[bytes], Any],
        waiting: Callable[[], int] | None = ...,
        fd: int = ...,
        masked: bool = ...,
        /,
    ) -> Pen: ...
    def shut(self) -> None: ...

Tape = Callable[[bytes, int, float], Any] | None

Looks = tuple[int, ...] | None
Note = tuple[int, int, float, int, int]  # kind, value, at, whether marked, level

class Way:
    def __new__(
        cls,
        clock: Callable[[], float],
        settle: Callable[[], Any],
        broke: Callable[[Exception, bytes, float], Any],
        settle_every: int,
        look_every: int,
        /,
    ) -> Way: ...
    def lay_up(
        self,
        pen: Pen,
        media: Pattern,
        mark: Pattern,
        stream_id: bytes,
        head: bytes,
        tail: bytes,
        n_text: int,
        n_bytes: int,
        tape: Tape,
        /,
    ) -> bool: ...
    def lay_down(
        self,
        pen: Pen,
        delta: Pattern,
        media_head: bytes,
        media_tail: bytes,
        mark_head: bytes,
        mark_tail: bytes,
        mark_prefix: bytes,
        mark_every_bytes: int,
        long_bytes: int,
        tape: Tape,
        /,
    ) -> None: ...
    def expect(self, number: int, last_frame_at: float, looked: int, /) -> None: ...
    def speak(
        self,
        response_id: bytes,
        item_id: bytes,
        content_index: int,
        since_mark: int,
        marks_sent: int,
        marked: bool,
        marks_pass: bool,
        lengths: tuple[int, ...],
        any_length: bool,
        frames: int,
        looked: int,
        /,
    ) -> None: ...
    def take(self) -> tuple[int, float, float, Looks, Looks, tuple[Note, ...]] | None: ...
    def pending(self) -> tuple[int, int, int, int]: ...
    def up(self, data: bytes, /) -> bool: ...
    def down(self, data: bytes, /) -> bool: ...
    def close(self) -> None: ...

class Ear:
    def __new__(cls, protocol: Any, masked: bool, /) -> Ear: ...
    def get_buffer(self, sizehint: int, /) -> Any: ...
    def buffer_updated(self, nbytes: int, /) -> None: ...
    def is_buffered_protocol(self) -> bool: ...
    def connection_made(self, transport: Any, /) -> None: ...
    def connection_lost(self, exc: Exception | None, /) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def feed(self, data: bytes, /) -> None: ...
    def belongs_to(self, owner: Any, /) -> None: ...
    def attach(self, way: Way | None, downwards: bool = ..., /) -> None: ...
    def took(self) -> bool: ...
