"""A client of the HTTP service: the same questions from another program or machine.

    from raydance.client import Client
    service = Client("http://127.0.0.1:8000")
    clip = service.generate("a dancer turns slowly", seed=1)[0]
    clip.save("turn.glb")
    job = service.start("generate", {"text": "sharp kicks", "seconds": 60, "format": "gif"})
    job.save("kicks.gif")

`AsyncClient` is the same for programs with an event loop. Needs neither torch nor Ray. When the
service is busy, the client waits as long as it is told to, up to 30 s; when the process that was
answering dies, it asks again.
"""

from raydance.client.answers import Generation, Job
from raydance.client.asynchronous import AsyncClient, AsyncJob
from raydance.client.client import Client
from raydance.client.options import (
    GenerateOptions,
    PartOptions,
    ReadingOptions,
    SearchOptions,
    TaskInputs,
)
from raydance.client.transport import ServiceError

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Client",
    "GenerateOptions",
    "Generation",
    "Job",
    "PartOptions",
    "ReadingOptions",
    "SearchOptions",
    "ServiceError",
    "TaskInputs",
]
