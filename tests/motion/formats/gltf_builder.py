"""Small glTF files for tests, made by hand as the specification says."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
COMPONENTS = {"<f4": 5126, "<i2": 5122, "<u2": 5123, "<i1": 5120, "<u1": 5121}


class GltfBuilder:
    """A document that is filled step by step, and its one buffer."""

    def __init__(self, nodes: list[dict[str, Any]], **extensions: Any) -> None:
        self.data = b""
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0"}, "nodes": nodes, "animations": [], "accessors": [], "bufferViews": [],
            "extensions": extensions,
        }  # fmt: skip

    def view(self, content: bytes, **more: int) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.document["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content), **more}
        )
        self.data += content
        return len(self.document["bufferViews"]) - 1

    def numbers(self, values: Any, dtype: str = "<f4", **more: Any) -> int:
        array = np.asarray(values)
        array = array.reshape(len(array), -1)
        self.document["accessors"].append(
            {
                "bufferView": self.view(array.astype(dtype).tobytes()), "componentType": COMPONENTS[dtype],
                "count": len(array), "type": KINDS[array.shape[1]], **more,
            }
        )  # fmt: skip
        return len(self.document["accessors"]) - 1

    def animate(self, *tracks: tuple[int, str, str, Any, Any], name: str = "") -> None:
        """Tracks of node, path, interpolation, key times and values; an accessor's index stands for itself."""
        samplers: list[dict[str, Any]] = []
        channels: list[dict[str, Any]] = []
        for node, path, way, times, values in tracks:
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            output = values if isinstance(values, int) else self.numbers(values)
            samplers.append({"input": self.numbers(times), "output": output, "interpolation": way})
        self.document["animations"].append({"name": name, "samplers": samplers, "channels": channels})

    def write(self, path: Path, uri: str | None = None) -> Path:
        """GLB for that suffix, else a document whose buffer is a data URI or the file `uri` next to it."""
        buffer: dict[str, Any] = {"byteLength": len(self.data)}
        if path.suffix == ".gltf":
            encoded = base64.b64encode(self.data).decode()
            buffer["uri"] = uri or f"data:application/octet-stream;base64,{encoded}"
            if uri:
                (path.parent / uri).write_bytes(self.data)
        text = json.dumps({**self.document, "buffers": [buffer]}).encode()
        if path.suffix == ".gltf":
            path.write_bytes(text)
            return path
        text += b" " * (-len(text) % 4)
        data = self.data + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(data), 0x004E4942) + data
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path


def a_body(name: str = "walk") -> GltfBuilder:
    """Five nodes, turned in their rest pose, under a scaled root; hips move, a knee bends; keys every 50 ms."""
    half = 0.5**0.5
    nodes: list[dict[str, Any]] = [
        {"name": "Armature", "children": [1, 4], "rotation": [half, 0, 0, half], "scale": [0.01, 0.01, 0.01]},
        {"name": "Hips", "children": [2], "translation": [0, 0, 90], "rotation": [0, 0.6, 0, 0.8]},
        {"name": "UpLeg", "children": [3], "translation": [10, 0, -5]},
        {"name": "Leg", "translation": [0, 0, -40], "rotation": [0, 0, half, half]},
        {"name": "Body", "mesh": 0},
    ]
    builder = GltfBuilder(nodes)
    times = np.arange(4) * 0.05
    angle = np.array([0.0, 0.5, 1.0, 3.0])
    turns = np.stack((np.sin(angle / 2), 0 * angle, 0 * angle, np.cos(angle / 2)), axis=1)
    places = np.array([[0, 0, 90], [1, 0, 91], [2, 1, 92], [4, 1, 90.0]])
    builder.animate((1, "translation", "LINEAR", times, places), (2, "rotation", "LINEAR", times, turns), name=name)
    return builder
