"""Forwards the readings above a threshold, as an IoT Edge module.

Readings come in on `input1`; those with `machine.temperature` above the threshold leave on `output1` with the property
`MessageType=Alert`. Settings come from the environment:

THRESHOLD  degrees Celsius (default 25)
"""

import asyncio
import json
import logging
import os
import signal
import sys

from azure.iot.device import Message, exceptions
from azure.iot.device.aio import IoTHubModuleClient

INPUT, OUTPUT = "input1", "output1"
# Messages received and not yet forwarded. The SDK acknowledges a message before we see it, so past this one is lost.
MAX_WAITING = 1000
# After so many quiet seconds we look whether there is still a connection.
QUIET_SECONDS = 60
# Pause before a message is sent again.
RETRY_SECONDS = 1
# A clean goodbye to the hub is worth this many seconds, and no more.
SHUTDOWN_SECONDS = 5

# The hub is away for a while. Any other error ends the module.
PASSING_ERRORS = (
    exceptions.ConnectionFailedError,
    exceptions.ConnectionDroppedError,
    exceptions.OperationCancelled,
    exceptions.OperationTimeout,
)

log = logging.getLogger("filter")


def temperature_of(message):
    """The machine's temperature, or None where the body is not a reading."""
    try:
        temperature = json.loads(message.data)["machine"]["temperature"]
    except (ValueError, KeyError, TypeError):
        return None
    return temperature if isinstance(temperature, (int, float)) and not isinstance(temperature, bool) else None


def alert_for(message):
    """The same body as an alert that still says which reading it is about."""
    alert = Message(message.data, content_type=message.content_type, content_encoding=message.content_encoding)
    alert.correlation_id = message.correlation_id or message.message_id
    # Names that start with "$." were stamped by the hub and belong to the message that came in, not to ours.
    alert.custom_properties = {k: v for k, v in message.custom_properties.items() if v is not None and not k.startswith("$.")}
    alert.custom_properties["MessageType"] = "Alert"
    return alert


async def receive(client, waiting):
    """Connects, and from then on puts each message that arrives on our input into `waiting`."""
    loop = asyncio.get_running_loop()

    def take(message):
        if waiting.full():
            log.error("%d messages are waiting; message %s is lost", MAX_WAITING, message.message_id)
        else:
            waiting.put_nowait(message)

    # The SDK calls this on a loop of its own, in the order of arrival; `call_soon_threadsafe` keeps that order.
    async def on_message(message):
        if message.input_name == INPUT:
            loop.call_soon_threadsafe(take, message)
        else:
            log.warning("a message came in on %s; only %s is read", message.input_name, INPUT)

    await client.connect()
    # Setting the handler subscribes, and blocks until the hub has answered: not on the loop that listens for SIGTERM.
    await asyncio.to_thread(setattr, client, "on_message_received", on_message)


async def send(client, message):
    """Sends to our output, again and again while the hub is away: a message may then arrive twice, and is not lost."""
    while True:
        try:
            # Returns when the hub has taken responsibility for the message.
            return await client.send_message_to_output(message, OUTPUT)
        except PASSING_ERRORS as error:
            log.warning("the hub is away (%s); trying again in %d s", error, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


async def forward(client, waiting, threshold):
    """Takes the messages one at a time, so that they leave in the order in which they came."""
    while True:
        try:
            message = await asyncio.wait_for(waiting.get(), QUIET_SECONDS)
        except asyncio.TimeoutError:
            # Does nothing while there is a connection. When the hub refuses us for good, the SDK stops trying and we would
            # be deaf in silence; this raises then, and ends the module.
            try:
                await client.connect()
            except PASSING_ERRORS as error:
                log.warning("not connected: %s", error)
            continue
        temperature = temperature_of(message)
        if temperature is None:
            log.warning("message %s is not a reading; ignored", message.message_id)
        elif temperature > threshold:
            await send(client, alert_for(message))
            log.info("%.2f is above %s: forwarded", temperature, threshold)
        else:
            log.info("%.2f is not above %s: dropped", temperature, threshold)


async def run(client, threshold):
    waiting = asyncio.Queue(MAX_WAITING)
    await receive(client, waiting)
    log.info("connected; readings above %s go from %s to %s", threshold, INPUT, OUTPUT)
    await forward(client, waiting, threshold)


async def main():
    threshold = float(os.environ.get("THRESHOLD", "25"))
    # Everything else the client needs (who we are, where the hub is, whom to trust) is in the module's environment.
    client = IoTHubModuleClient.create_from_edge_environment()
    work = asyncio.create_task(run(client, threshold))
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        log.info("asked to stop")
    finally:
        await asyncio.wait_for(client.shutdown(), SHUTDOWN_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # The SDK tells of each connection and packet; its problems are enough here.
    logging.getLogger("azure").setLevel(logging.WARNING)
    # An error ends the process with code 1, and the module's restart policy decides what is next.
    asyncio.run(main())
