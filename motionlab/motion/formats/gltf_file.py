"""The container of glTF 2.0: a JSON document, buffers of bytes, and accessors that say what numbers lie in them.

Read with `json` and numpy: the packages for it hand on the document as it is, and everything that can go wrong (which
bytes, how many, compressed or sparse) would still be checked here. Buffers come from the file itself, from data URIs,
or from files in the folder of the document; nothing else is opened, no address and no path that leads out of it.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from motionlab.errors import InputError
from motionlab.files.reading import LARGEST_TEXT, read_bytes, refusing

LARGEST = 1e9
MOST_NUMBERS = 20_000_000  # of an accessor that brings no bytes: its zeros must not fill the memory
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COUNTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_EXPECTED, _FIX = "glTF 2.0", "Export the file again, as GLB without compression."


class GltfFile:
    """A document and its numbers.

    Raises:
        InputError: no glTF 2.0, or something in it that does not fit together.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content = read_bytes(path, expected=_EXPECTED, fix=_FIX, most=4 * LARGEST_TEXT)
        self._binary: bytes | None = None
        text = self._chunks(content) if content.startswith(b"glTF") else content
        with refusing(path, expected=_EXPECTED, fix=_FIX):
            document = json.loads(text.decode("utf-8-sig"))
        if not isinstance(document, dict):
            self.fail(f"a {type(document).__name__}")
        self.document: dict[str, Any] = document
        version = self.dictionary(document.get("asset"), "asset").get("version")
        if version != "2.0":
            self.fail(f"version {str(version)[:20]}")
        self._buffers: dict[int, bytes] = {}

    def fail(self, found: str, expected: str = _EXPECTED) -> NoReturn:
        raise InputError(self.path, found=found, expected=expected, fix=_FIX)

    def dictionary(self, value: Any, what: str) -> dict[str, Any]:
        """A value that must be an object; a missing one is empty."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(f"{what} that is a {type(value).__name__}", "an object")
        return value

    def items(self, holder: dict[str, Any], key: str) -> list[dict[str, Any]]:
        """A list of objects; a missing one is empty."""
        value = holder.get(key, [])
        if not isinstance(value, list):
            self.fail(f"'{key}' that is a {type(value).__name__}", "a list")
        return [self.dictionary(one, key) for one in value]

    def integer(self, value: Any, what: str, most: int) -> int:
        """A whole number from 0 to `most`."""
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            self.fail(f"{what} {str(value)[:40]}", f"a whole number from 0 to {most}")
        return value

    def entry(self, key: str, index: Any) -> dict[str, Any]:
        """One of the document's lists by its index."""
        entries = self.items(self.document, key)
        return entries[self.integer(index, f"index into {key}", len(entries) - 1)]

    def numbers(self, value: Any, count: int, what: str) -> NDArray[np.float64]:
        """`[count]` finite numbers of the document."""
        good = isinstance(value, list) and len(value) == count
        if not good or not all(type(one) in (int, float) and abs(one) <= LARGEST for one in value):
            self.fail(f"{what} {str(value)[:60]}", f"{count} finite numbers")
        return np.array(value, dtype=np.float64)

    def accessor(self, index: Any) -> NDArray[np.float64]:
        """The numbers of an accessor, `[count, components]`; normalized integers as the fractions that they mean."""
        accessor = self.entry("accessors", index)
        count = self.integer(accessor.get("count"), "count", 1 << 40)
        width = _COUNTS.get(str(accessor.get("type")))
        if width is None:
            self.fail(f"accessor of type {str(accessor.get('type'))[:20]}", ", ".join(_COUNTS))
        component = accessor.get("componentType")
        if "bufferView" in accessor:
            raw = self._view(accessor, accessor["bufferView"], component, count, width)
        else:
            if count * width > MOST_NUMBERS:
                self.fail(f"an accessor of {count:,} values without bytes", f"at most {MOST_NUMBERS:,} numbers")
            raw = np.zeros((count, width), self._dtype(component))
        if "sparse" in accessor:
            sparse = self.dictionary(accessor["sparse"], "sparse")
            places, values = (self.dictionary(sparse.get(key), key) for key in ("indices", "values"))
            changed = self.integer(sparse.get("count"), "sparse count", count)
            at = self._view(places, places.get("bufferView"), places.get("componentType"), changed, 1)[:, 0]
            if not np.issubdtype(at.dtype, np.unsignedinteger) or (changed and int(at.max()) >= count):
                self.fail("sparse values outside of their accessor", f"places below {count}")
            raw = raw.copy()
            raw[at] = self._view(values, values.get("bufferView"), component, changed, width)
        result = raw.astype(np.float64)
        if accessor.get("normalized") is True and np.issubdtype(raw.dtype, np.integer):
            result = np.maximum(result / np.iinfo(raw.dtype).max, -1.0)
        if not bool((np.abs(result) <= LARGEST).all()):  # nan, too
            self.fail("a number that is not finite, or too large", f"finite numbers of at most {LARGEST:g}")
        return result

    def _dtype(self, component: Any) -> np.dtype[Any]:
        if type(component) is not int or component not in _TYPES:
            self.fail(f"component type {str(component)[:20]}", ", ".join(map(str, _TYPES)))
        return np.dtype(_TYPES[component])

    def _view(self, holder: dict[str, Any], index: Any, component: Any, count: int, width: int) -> NDArray[Any]:
        """`[count, width]` as it lies in a buffer view, from `byteOffset` of the holder on."""
        dtype = self._dtype(component)
        view = self.entry("bufferViews", index)
        for extension in self.dictionary(view.get("extensions"), "extensions"):
            self.fail(f"bytes compressed with {extension[:40]}", "plain bytes")
        buffer = self._buffer(view.get("buffer"))
        start = self.integer(view.get("byteOffset", 0), "byteOffset", len(buffer))
        length = self.integer(view.get("byteLength"), "byteLength", len(buffer) - start)
        inside = self.integer(holder.get("byteOffset", 0), "byteOffset", length)
        size = dtype.itemsize * width
        stride = self.integer(view.get("byteStride", size), "byteStride", 252) or size
        if stride < size:
            self.fail(f"byteStride {stride}", f"at least {size}")
        if count and inside + (count - 1) * stride + size > length:
            self.fail(f"{count:,} values in {length - inside:,} bytes", "as many bytes as the values need")
        strides = (stride, dtype.itemsize)
        return np.ndarray((count, width), dtype, buffer, start + inside, strides) if count else np.zeros((0, width))

    def _buffer(self, index: Any) -> bytes:
        buffer = self.entry("buffers", index)
        if index not in self._buffers:
            length = self.integer(buffer.get("byteLength"), "byteLength", 4 * LARGEST_TEXT)
            content = self._bytes(buffer.get("uri"))
            if len(content) < length:
                self.fail(f"a buffer of {len(content):,} bytes", f"{length:,}, as the document says")
            self._buffers[index] = content
        return self._buffers[index]

    def _bytes(self, uri: Any) -> bytes:
        if uri is None:
            if self._binary is None:
                self.fail("a buffer without bytes", "a binary chunk, or an uri")
            return self._binary
        if not isinstance(uri, str):
            self.fail(f"uri that is a {type(uri).__name__}", "text")
        if uri.startswith("data:"):
            head, _, data = uri.partition(",")
            with refusing(self.path, expected="base64 in a data URI", fix=_FIX):
                return base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote(data).encode()
        name = unquote(uri)
        with refusing(self.path, expected="the name of a file", fix=_FIX):
            folder = self.path.parent.resolve()
            target = (folder / name).resolve()
        if "://" in name or "\\" in name or not target.is_relative_to(folder):
            self.fail(f"a buffer at {name[:100]}", "a file in the folder of the document")
        return read_bytes(target, expected="the buffer of a glTF file", fix="Put it next to the document.",
                          most=4 * LARGEST_TEXT)  # fmt: skip

    def _chunks(self, content: bytes) -> bytes:
        """The JSON of a GLB file; its binary chunk is kept."""
        text = None
        if len(content) < 20 or struct.unpack_from("<I", content, 4)[0] != 2:
            self.fail("a GLB header of another version, or cut off")
        position = 12
        while position + 8 <= len(content):
            length, kind = struct.unpack_from("<II", content, position)
            chunk = content[position + 8 : position + 8 + length]
            if len(chunk) < length:
                self.fail(f"a chunk of {len(chunk):,} bytes", f"{length:,}: the file is cut off")
            if kind == 0x4E4F534A and text is None:
                text = chunk
            elif kind == 0x004E4942 and self._binary is None:
                self._binary = chunk
            position += 8 + length
        if text is None:
            self.fail("no JSON chunk")
        return text
