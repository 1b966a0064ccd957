"""A simulated temperature sensor, as an IoT Edge module.

It sends one reading after the other to its output `temperatureOutput`. Settings come from the environment:

INTERVAL_SECONDS  pause between two readings (default 5)
MESSAGE_COUNT     end well after so many readings (default 0: never end)
NONCE             any text; it is put into each reading, so that a test can tell its own readings from older ones
"""

import asyncio
import json
import logging
import os
import random
import signal
import sys
import uuid
from datetime import datetime, timezone

from azure.iot.device import Message, exceptions
from azure.iot.device.aio import IoTHubModuleClient

OUTPUT = "temperatureOutput"
# The machine's temperature wanders between these, in degrees Celsius.
COLDEST, HOTTEST = 18.0, 32.0
LARGEST_STEP = 2.0
# A clean goodbye to the hub is worth this many seconds, and no more.
SHUTDOWN_SECONDS = 5

# Pause before a message is sent again.
RETRY_SECONDS = 1

# The hub is away for a while. Any other error ends the module.
PASSING_ERRORS = (
    exceptions.ConnectionFailedError,
    exceptions.ConnectionDroppedError,
    exceptions.OperationCancelled,
    exceptions.OperationTimeout,
)

log = logging.getLogger("temperature_sensor")


def next_temperature(temperature):
    """One step of a random walk; a step over the edge is walked back inside."""
    stepped = temperature + random.uniform(-LARGEST_STEP, LARGEST_STEP)
    if stepped > HOTTEST:
        return 2 * HOTTEST - stepped
    if stepped < COLDEST:
        return 2 * COLDEST - stepped
    return stepped


def reading(temperature, sequence, nonce):
    """The body of one message. The pressure follows the temperature, as in a closed vessel."""
    return {
        "machine": {"temperature": round(temperature, 2), "pressure": round(1 + (temperature - COLDEST) / 10, 2)},
        "ambient": {"temperature": round(random.uniform(20.5, 21.5), 2), "humidity": random.randint(24, 27)},
        "timeCreated": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "sequence": sequence,
        "nonce": nonce,
    }


async def send(client, message):
    """Sends to our output, again and again while the hub is away: a message may then arrive twice, and is not lost."""
    while True:
        try:
            # Returns when the hub has taken responsibility for the message.
            return await client.send_message_to_output(message, OUTPUT)
        except PASSING_ERRORS as error:
            log.warning("the hub is away (%s); trying again in %d s", error, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


async def send_readings(client, interval, count, nonce):
    """Sends `count` readings, or for ever when it is 0."""
    await client.connect()
    log.info("connected; one reading every %s s to output %s", interval, OUTPUT)
    temperature = (COLDEST + HOTTEST) / 2
    sequence = 0
    while count == 0 or sequence < count:
        sequence += 1
        temperature = next_temperature(temperature)
        body = json.dumps(reading(temperature, sequence, nonce))
        # With both of these set, routes and the cloud can look into the body.
        message = Message(body, message_id=str(uuid.uuid4()), content_type="application/json", content_encoding="utf-8")
        await send(client, message)
        log.info("sent %s", body)
        await asyncio.sleep(interval)
    log.info("sent all %d readings", count)


async def main():
    interval = float(os.environ.get("INTERVAL_SECONDS", "5"))
    count = int(os.environ.get("MESSAGE_COUNT", "0"))
    nonce = os.environ.get("NONCE", "")

    # Everything else the client needs (who we are, where the hub is, whom to trust) is in the module's environment.
    client = IoTHubModuleClient.create_from_edge_environment()
    work = asyncio.create_task(send_readings(client, interval, count, nonce))
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
