"""PyPI's py_eureka_client: an instance registers, finds and calls an application, is taken out and let back, and leaves.

Prints what it saw: the answer of the application, the states of its own instance, and what is left of it.
"""

import asyncio
import json
import sys
from urllib.error import HTTPError

from py_eureka_client import eureka_basic, eureka_client

url, app, port, look = sys.argv[1:]


async def main():
    errors = []
    client = await eureka_client.init_async(
        eureka_server=url, app_name=app, instance_ip="127.0.0.1", instance_host="127.0.0.1", instance_id="py-1",
        instance_port=int(port), renewal_interval_in_secs=30, duration_in_secs=60, metadata={"team": "goods", "weight": "50"},
        on_error=lambda kind, error: errors.append(f"{kind}: {error}"))
    answer = await eureka_client.do_service_async(look, "/hello")
    seen = []

    async def state():
        one = await eureka_basic.get_app_instance(url, app, "py-1")
        seen.append([one.status, one.overriddenstatus, one.metadata["team"]])

    await state()
    await client.status_update("OUT_OF_SERVICE")
    await state()
    await client.delete_status_override()
    await state()
    await client.register()
    await client.send_heartbeat()
    await state()
    await client.stop()
    try:
        await eureka_basic.get_application(url, app)
        left = "there"
    except HTTPError as error:
        left = error.code
    print(json.dumps({"answer": answer, "seen": seen, "left": left, "errors": errors}))


asyncio.run(main())
