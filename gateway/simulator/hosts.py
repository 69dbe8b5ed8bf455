"""What the delivery and stream hosts have in common: they take no token and note what they are asked."""

from gateway.simulator.asgi import App, Heard, Receive, Scope, Send, header, respond
from gateway.simulator.diary import Host, Leak, Request
from gateway.simulator.world import World

_REFUSAL = b'{"detail":"A token was sent where none belongs.","status":400}'


def tokenless(world: World, host: Host, app: App) -> App:
    """Note every request, and every token sent to a host that wants none; refuse those where the switch says so."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        path, heard = scope["path"], Heard(send)
        leaked = header(scope, b"authorization") is not None
        if leaked:
            world.diary.leaks.append(Leak(host, path))
        try:
            if leaked and world.switches.leaked_token == "refuse":
                await respond(heard, 400, _REFUSAL, "application/problem+json")
            else:
                await app(scope, receive, heard)
        finally:
            world.diary.requests.append(Request(scope["method"], path, heard.status, host))

    return noted
