"""A file as the form that Replicate takes it in."""

import secrets


def form(name: str, content_type: str, content: bytes) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a multipart form whose one part is this file."""
    boundary = secrets.token_hex(16)
    # Both are ours, or a line of a data URI: nothing in them may end the header they stand in.
    safe = "".join(letter for letter in content_type if letter.isprintable() and letter.isascii())
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
        f"Content-Type: {safe}\r\n\r\n"
    )
    return {"content-type": f"multipart/form-data; boundary={boundary}"}, b"".join(
        [head.encode(), content, f"\r\n--{boundary}--\r\n".encode()]
    )
