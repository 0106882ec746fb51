"""What the tests of the Python clients share: one call by each client, and a text that no message may show."""

import asyncio

from emr_ner_tf.client.grpc_aio_client import AsyncGrpcClient
from emr_ner_tf.client.grpc_client import GrpcClient
from emr_ner_tf.client.rest_client import RestClient

SECRET = "某某某身份证"


async def _awaited(target, options, texts):
    async with AsyncGrpcClient(target, options) as client:
        return await client.predict(texts)


def ask(kind, target, options, texts):
    """Returns the entities of texts by a client of this kind: grpc, aio or rest."""
    if kind == "aio":
        return asyncio.run(_awaited(target, options, texts))
    return {"grpc": GrpcClient, "rest": RestClient}[kind](target, options).predict(texts)
