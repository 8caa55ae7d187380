"""Recognises what is no HTTP upstream by its port, or by the address that the service's environment gives it.

A connection to a database goes round the proxy, and should: nothing in it carries a trace. Exporters of telemetry speak
HTTP or gRPC, but are no part of any trace either; a sidecar in a mesh is told to leave them alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from traceaudit.listeners import Address


class Kind(StrEnum):
    """What a connection is for, when it is not for an upstream."""

    DATABASE = "database"
    BROKER = "broker"
    TELEMETRY = "telemetry"
    OTHER = "not HTTP"
    INTERNAL = "within the service"


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol's name and what it is for."""

    name: str
    kind: Kind


def _ports(kind: Kind, table: Mapping[str, tuple[int, ...]]) -> dict[int, Protocol]:
    return {port: Protocol(name, kind) for name, ports in table.items() for port in ports}


BY_PORT: Mapping[int, Protocol] = {
    **_ports(
        Kind.DATABASE,
        {
            "PostgreSQL": (5432, 5433, 6432),
            "MySQL": (3306, 33060),
            "SQL Server": (1433,),
            "Oracle": (1521,),
            "MongoDB": (27017, 27018, 27019),
            "Redis": (6379, 6380, 16379, 26379),
            "Memcached": (11211,),
            "Cassandra": (9042, 9142),
            "CockroachDB": (26257,),
            "Neo4j": (7687,),
            "etcd": (2379,),
            "ZooKeeper": (2181,),
        },
    ),
    **_ports(
        Kind.BROKER,
        {
            "Kafka": (9092, 9093, 9094),
            "AMQP": (5671, 5672),
            "NATS": (4222,),
            "MQTT": (1883, 8883),
            "Pulsar": (6650, 6651),
            "STOMP": (61613,),
            "ActiveMQ": (61616,),
            "NSQ": (4150,),
        },
    ),
    **_ports(
        Kind.TELEMETRY,
        {
            "OTLP": (4317, 4318),
            "Zipkin": (9411,),
            "Jaeger": (14250, 14268),
            "Datadog's agent": (8126,),
            "SkyWalking": (11800,),
            "StatsD": (8125,),
            "Graphite": (2003,),
            "Fluentd": (24224,),
            "syslog": (514, 601, 6514),
        },
    ),
    **_ports(
        Kind.OTHER,
        {
            "DNS": (53, 853),
            "SMTP": (25, 465, 587),
            "LDAP": (389, 636),
            "Kerberos": (88,),
            "SSH": (22,),
            "FTP": (21,),
            "IMAP": (143, 993),
        },
    ),
}
"""Ports that a protocol has to itself, by default or by IANA's registry. 9200 (Elasticsearch), 8086 (InfluxDB), 8500
(Consul), 9000 (ClickHouse) and the like are not here: they speak HTTP, or share their port with many that do.
https://www.iana.org/assignments/service-names-port-numbers/"""

_BY_SCHEME: Mapping[str, Protocol] = {
    **dict.fromkeys(("postgres", "postgresql"), BY_PORT[5432]),
    "mysql": BY_PORT[3306],
    "sqlserver": BY_PORT[1433],
    "oracle": BY_PORT[1521],
    "mongodb": BY_PORT[27017],
    **dict.fromkeys(("redis", "rediss"), BY_PORT[6379]),
    "memcached": BY_PORT[11211],
    "cassandra": BY_PORT[9042],
    **dict.fromkeys(("neo4j", "bolt"), BY_PORT[7687]),
    **dict.fromkeys(("amqp", "amqps"), BY_PORT[5672]),
    "kafka": BY_PORT[9092],
    **dict.fromkeys(("nats", "tls+nats"), BY_PORT[4222]),
    **dict.fromkeys(("mqtt", "mqtts"), BY_PORT[1883]),
    "pulsar": BY_PORT[6650],
    **dict.fromkeys(("smtp", "smtps"), BY_PORT[25]),
    **dict.fromkeys(("ldap", "ldaps"), BY_PORT[389]),
}
"""Schemes of the URLs that drivers take."""

_EXPORTERS: Mapping[str, str] = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "OTLP",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "OTLP",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "OTLP",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "OTLP",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "Zipkin",
    "OTEL_EXPORTER_JAEGER_ENDPOINT": "Jaeger",
    "JAEGER_ENDPOINT": "Jaeger",
    "ZIPKIN_ENDPOINT": "Zipkin",
    "DD_TRACE_AGENT_URL": "Datadog's agent",
    "SW_AGENT_COLLECTOR_BACKEND_SERVICES": "SkyWalking",
}
"""Variables that name where telemetry goes.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+]*)://(?:[^\s/@]*@)?(?P<hosts>[^\s/?#]+)", re.IGNORECASE)


def named_in(environ: Mapping[str, str], arguments: Iterable[str] = ()) -> Iterator[tuple[Address, Protocol]]:
    """The addresses that an environment and a command line give to telemetry, databases and brokers, as they are
    written there.
    """
    for variable, text in environ.items():
        if variable in _EXPORTERS and (address := _address(text)) is not None:
            yield address, Protocol(_EXPORTERS[variable], Kind.TELEMETRY)
    for text in (*environ.values(), *arguments):
        for match in _URL.finditer(text):
            scheme = match["scheme"].lower().partition("+")[0]
            if scheme not in _BY_SCHEME:
                continue
            # A cluster's members stand beside each other: mongodb://one:27017,two:27018/shop
            for host in match["hosts"].split(","):
                if (address := _address(f"{scheme}://{host}")) is not None:
                    yield address, _BY_SCHEME[scheme]


def protocol_of(remote: Address, named: Mapping[Address, Protocol]) -> Protocol | None:
    """What a connection's other end is known to speak; ``None``: nothing is known, so it may be HTTP.

    What the environment says comes first. A name in it stands for any address: what it leads to is not asked.
    """
    for address, protocol in named.items():
        if address.port == remote.port and (address.host == remote.host or not _is_other(address.host, remote.host)):
            return protocol
    return BY_PORT.get(remote.port)


def _is_other(named: str, host: str) -> bool:
    """Whether what was named is surely another host."""
    if named in _LOCAL:
        return not (host in _LOCAL or host.startswith("127."))
    return bool(re.fullmatch(r"[\d.]+|[0-9a-f:]*:[0-9a-f:]+", named))


def _address(text: str) -> Address | None:
    first = text.split(",", 1)[0].strip()
    try:
        parts = urlsplit(first if "://" in first else f"//{first}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    if port is None:
        default = _BY_SCHEME.get(parts.scheme.partition("+")[0])
        port = next((number for number, each in BY_PORT.items() if each == default), None) if default else None
    return Address(parts.hostname, port) if port else None
