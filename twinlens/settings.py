"""Settings: command line over environment over ``twinlens.toml`` over defaults.

Only entry points (the commands) read settings; everything else is handed plain values.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from twinlens.catalog.errors import SettingsError
from twinlens.encoders.runtimes import TitleRuntime
from twinlens.stores.address import CollectionLayout, Quantization, ServerAddress

if TYPE_CHECKING:
    from twinlens.search.steering import Boost

ENV_PREFIX: Final = "TWINLENS_"
TEST_PREFIX: Final = "TWINLENS_TEST_"  # read by the test suite, never by the product
DEFAULT_TITLE_MODEL: Final = "intfloat/multilingual-e5-base"
DEFAULT_THUMBNAIL_MODEL: Final = "packaged:denoiser"


def _split_list(value: object) -> object:
    """Return a setting of several, which the environment gives as one text with commas."""
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _join_urls(value: object) -> object:
    """Return URLs with commas as one text, however they are given."""
    urls = _split_list(value)
    if not (isinstance(urls, list) and urls):
        return value
    joined = ",".join(map(str, urls))
    _ = ServerAddress(joined).urls  # are some
    return joined


def _check_key(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-+\--~]{16,256}", key.get_secret_value()):
        raise ValueError("a key is 16 to 256 visible ASCII characters without a comma")
    return key


def _check_origin(origin: str) -> str:
    if origin != "*" and not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
        raise ValueError(
            f"not an origin: {origin!r}; like https://example.org, in lower case, or *"
        )
    return origin


ApiKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_check_key)], ...],
    NoDecode,
    BeforeValidator(_split_list),
]


def _check_secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < 16:
        raise ValueError("a secret has at least 16 characters")
    return secret


def _check_postgres(address: SecretStr) -> SecretStr:
    if not re.match(r"postgres(ql)?://", address.get_secret_value()):
        raise ValueError("like postgresql://user:password@host/database")
    return address


def _read_prefix(written: str) -> str:
    if not written:
        return written
    from twinlens.backend.mounting import read_prefix  # with Flask, which few settings want

    return read_prefix(written)


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_check_origin)], ...],
    NoDecode,
    BeforeValidator(_split_list),
]


class BoostSetting(BaseModel):
    """A boost, as ``twinlens.search.steering.Boost`` has it, and defaults of what isn't given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    weight: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.1
    half_life_days: Annotated[float, Field(ge=0.01, le=36500, allow_inf_nan=False)] | None = None
    value: str | None = None


_OF_SERVICES: Final = re.compile(
    r"TWINLENS(?:_\w+)?_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)"
    r"(?:_(?:ADDR|PORT|PROTO))?|ENV_\w+|NAME)",
    re.IGNORECASE,
)


class Settings(BaseSettings):
    """Everything an operator may set; see ``docs/settings.md``."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(Path("data"), description="Where generations and thumbnails live.")
    qdrant_url: Annotated[str, BeforeValidator(_join_urls)] | None = Field(
        None,
        description="A Qdrant server, or several nodes of one; without it Qdrant runs embedded, in "
        "`data_dir`.",
    )
    qdrant_api_key: SecretStr | None = Field(None, description="Sent to the Qdrant server.")
    qdrant_grpc_port: int = Field(
        6334, ge=1, le=65535, description="The port of the Qdrant server's gRPC."
    )
    qdrant_ca_file: Path | None = Field(
        None, description="The authority (PEM) that signed the certificate of the Qdrant server."
    )
    qdrant_cert_file: Path | None = Field(
        None, description="A certificate (PEM) to show the Qdrant server, with `qdrant_key_file`."
    )
    qdrant_key_file: Path | None = Field(None, description="The key (PEM) of that certificate.")
    qdrant_shards: int = Field(1, ge=1, le=1024, description="Shards of a new collection.")
    qdrant_replicas: int | None = Field(
        None, ge=1, le=64, description="Copies of each shard; the server's own setting if not set."
    )
    qdrant_write_consistency: int | None = Field(
        None, ge=1, le=64, description="Copies that must have a write before it counts as done."
    )
    qdrant_on_disk: bool = Field(
        False, description="Whether Qdrant reads vectors, words and payloads from disk."
    )
    qdrant_quantization: Quantization = Field(
        "none",
        description="Shorter vectors that Qdrant keeps in memory to search by, before it scores "
        "what it found by the whole ones: `int8`, `binary` or `turbo`.",
    )
    qdrant_strict: bool = Field(
        False, description="Whether Qdrant refuses requests larger than TwinLens makes."
    )
    qdrant_patience_s: float = Field(
        300.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds that `index` waits for a Qdrant server that doesn't answer.",
    )
    collection: str = Field(
        "videos",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="The server's alias of the published generation, and prefix of collections.",
    )
    title_model: str = Field(
        DEFAULT_TITLE_MODEL,
        description="A sentence-transformers name or path, a directory made by `twinlens "
        "train-titles`, `packaged:e5-small`, `packaged:use-m3-bridge`, `packaged:use-m3` or "
        "`packaged:minilm`. "
        "A published index keeps its own unless this is set.",
    )
    title_runtime: TitleRuntime = Field(
        "torch",
        description="What runs a sentence-transformers model: `torch`, `onnx` (the same vectors, "
        "sooner) or `onnx-int8` (queries sooner still, their vectors less exact).",
    )
    thumbnail_model: str = Field(
        DEFAULT_THUMBNAIL_MODEL,
        description="`packaged:denoiser`, a directory made by `twinlens train-thumbnails`, or a "
        "sentence-transformers CLIP model by name or path. A published index keeps its own "
        "unless this is set.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address that `serve` listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port that `serve` listens on; 0: any.")
    threads: int = Field(
        default_factory=lambda: min(4, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="Threads that decode, and that the encoders use: half each in `index`, "
        "shared out among the processes in `serve`; by default the cores, at most 4.",
    )
    query_cache: int = Field(
        4096,
        ge=0,
        le=1_000_000,
        description="Texts whose vectors each process of `serve` remembers; 0: none.",
    )
    api_keys: ApiKeys = Field((), description="Keys that may search; without any, everyone may.")
    admin_keys: ApiKeys = Field(
        (), description="Keys that may search and read `/metrics`, which then takes one."
    )
    cors_origins: Origins = Field(
        (), description="Origins whose pages may use the API: `https://example.org`; `*`: any."
    )
    rate_limit: int = Field(
        0, ge=0, le=1_000_000, description="Requests a minute for each caller; 0: any number."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Proxies before `serve`, each of which sets `X-Forwarded-For`."
    )
    path_prefix: Annotated[str, AfterValidator(_read_prefix)] = Field(
        "",
        description="What callers put before every path, where a proxy serves it below one: "
        "`/twin`.",
    )
    max_body_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, le=1024**3, description="The largest body of a request."
    )
    max_wait_s: float = Field(
        5.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        description="Seconds that a request may wait for its turn before it is turned away, and "
        "one of several searches for those before it.",
    )
    receive_timeout_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds in which the body of a request must have come.",
    )
    events_url: Annotated[SecretStr, AfterValidator(_check_postgres)] | None = Field(
        None, description="A PostgreSQL database that keeps events; else a file in `data_dir` does."
    )
    person_secret: Annotated[SecretStr, AfterValidator(_check_secret)] | None = Field(
        None, description="Signs the tokens by which people see and remove what is kept of them."
    )
    keep_searches: bool = Field(
        False, description="Whether events of type `search` are kept, with their words."
    )
    keep_events_days: int = Field(
        0, ge=0, le=36500, description="Days after which `events prune` removes events; 0: never."
    )
    feed_explore: float = Field(
        0.1,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="The share of the places of a feed that are drawn by lot among fresh videos.",
    )
    feed_watched: Literal["demote", "leave_out"] = Field(
        "demote", description="What becomes of videos in a feed that their person watched whole."
    )
    rules: Path | None = Field(
        None,
        description="A file of synonyms, and of videos that a query shows first or never; without "
        "it `rules.toml` in `data_dir`, if it is there.",
    )
    boost: Annotated[tuple[BoostSetting, ...], Field(max_length=10)] = Field(
        (), description="What raises the scores of hits where a request doesn't say."
    )
    index_metrics: Path | None = Field(
        None, description="A file that `index` keeps its metrics in, for node_exporter."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="How `serve` logs: an object a line, or lines for people."
    )
    log_queries: bool = Field(
        False, description="Whether the log of `serve` has the words that were searched for."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings in order: command line, environment, file."""
        if isinstance(env_settings, EnvSettingsSource):
            env_settings.env_vars = {
                name: value
                for name, value in env_settings.env_vars.items()
                if not is_of_platform(name, value or "")
            }
        file = Path("twinlens.toml")
        # With the mark that editors of Windows put before UTF-8.
        given = tomllib.loads(file.read_text("utf-8-sig")) if file.is_file() else {}
        return init_settings, env_settings, InitSettingsSource(settings_cls, given)

    @property
    def events_address(self) -> str | None:
        """The PostgreSQL database that keeps events, or None where a file does."""
        return self.events_url.get_secret_value() if self.events_url else None

    @property
    def boosts(self) -> tuple[Boost, ...]:
        """What raises scores where a request doesn't say."""
        from twinlens.search.steering import Boost  # with NumPy, which few settings want

        return tuple(Boost(**one.model_dump(exclude_unset=True)) for one in self.boost)

    @property
    def qdrant_server(self) -> ServerAddress | None:
        """The Qdrant server, or None where Qdrant runs embedded."""
        if self.qdrant_url is None:
            return None
        key = self.qdrant_api_key.get_secret_value() if self.qdrant_api_key else None
        return ServerAddress(
            self.qdrant_url,
            key,
            self.qdrant_grpc_port,
            self.qdrant_ca_file,
            self.qdrant_cert_file,
            self.qdrant_key_file,
        )

    @property
    def qdrant_layout(self) -> CollectionLayout:
        """How a Qdrant server is to keep what is indexed from now on."""
        return CollectionLayout(
            shards=self.qdrant_shards,
            replicas=self.qdrant_replicas,
            write_consistency=self.qdrant_write_consistency,
            on_disk=self.qdrant_on_disk,
            quantization=self.qdrant_quantization,
            strict=self.qdrant_strict,
        )


def is_of_platform(name: str, value: str) -> bool:
    """Return whether Kubernetes or Docker sets this variable of a service called twinlens.

    Source: "Accessing the Service" in Kubernetes' documentation, Docker's legacy links.
    """
    return _OF_SERVICES.fullmatch(name) is not None or (
        name.upper().endswith("_PORT") and "://" in value
    )


def load_settings(
    overrides: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Return the settings in force; an override that is None counts as not given.

    Raises:
        SettingsError: an unknown name, or a value out of range; all of them are listed.
    """
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(
        name
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX)
        and not name.startswith(TEST_PREFIX)
        and name not in known
        and not is_of_platform(name, value)
    )
    if unknown:
        raise SettingsError(
            f"unknown setting in the environment: {', '.join(unknown)}; "
            f"known: {', '.join(sorted(known))}"
        )
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()
        )
        raise SettingsError(f"bad settings: {problems}") from error
    except ValueError as error:  # a twinlens.toml that is not TOML
        raise SettingsError(f"twinlens.toml can't be read: {error}") from error
