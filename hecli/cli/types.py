"""What options take that is more than a number or a word."""

import click

from hecli.training.terms import Metric

_BYTES = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Size(click.ParamType[int]):
    """A number of bytes, with k, M or G."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes."""
        if isinstance(value, int):
            return value
        number, unit = (value[:-1], value[-1]) if value[-1:] in _BYTES else (value, "")
        try:
            return int(float(number) * _BYTES[unit])
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no size, such as 100k or 2.5M", param, ctx)


class Range(click.ParamType[tuple[str, float | None]]):
    """A positive number or the word auto, of the tensors that a pattern before it means, or of all."""

    name = "range"

    def convert(
        self, value: str | tuple[str, float | None], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | None]:
        """The pattern, and None for auto."""
        if isinstance(value, tuple):
            return value
        pattern, equals, number = value.rpartition("=")
        if number == "auto":
            return (pattern if equals else "*"), None
        try:
            return (pattern if equals else "*"), float(number)
        except ValueError:
            self.fail(f"{number!r} is neither a number nor auto", param, ctx)


class MetricType(click.ParamType[Metric]):
    """NAME=RANGE."""

    name = "metric"

    def convert(
        self, value: str | Metric, param: click.Parameter | None, ctx: click.Context | None
    ) -> Metric:
        """The metric."""
        if isinstance(value, Metric):
            return value
        name, _, size = value.partition("=")
        try:
            return Metric(name, float(size))
        except ValueError:
            self.fail(f"{value!r} is not NAME=RANGE, such as loss=10", param, ctx)


class Duration(click.ParamType[int]):
    """Seconds, or a number with s, m, h or d."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds."""
        if isinstance(value, int):
            return value
        number, unit = (value[:-1], value[-1]) if value[-1:] in _SECONDS else (value, "s")
        try:
            return max(1, round(float(number) * _SECONDS[unit]))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time, such as 90s, 10m, 2h or 1d", param, ctx)


class Percents(click.ParamType[tuple[float, ...]]):
    """Percentages, with commas between them."""

    name = "percents"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The same as parts of one."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(float(each) / 100 for each in value.split(","))
        except ValueError:
            found = ()
        if not found or not all(0 < each <= 1 for each in found):
            self.fail(f"{value!r} is no list of percentages, such as 80,90", param, ctx)
        return found
