"""Rarefaction and extrapolation of observed records, by size and by coverage, for Hill numbers of any order.

Chao et al. 2014 (doi 10.1890/13-0133.1, table 1 and appendices), Chao & Jost 2012 (coverage, doi
10.1890/11-1952.1), as in the R package iNEXT. Two kinds of data:

- abundances: number of records (individuals) of each species; the sampling unit is a record;
- incidences: number of plots each species was found in, and the number of plots; the unit is a plot.

With X_i the count of species i, T the number of units (records, or plots) and U = Σ X (= T for abundances):
f1 and f2 species were found once and twice, and f̂0 = (T−1)/T · f1²/(2 f2), or (T−1)/T · f1(f1−1)/2 without
f2, are estimated to be missing (Chao1, Chao2: a lower bound).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaln

from sdm_core.errors import RuleError

Floats = NDArray[np.float64]

#: Units whose sums over k are worked on at once.
_CHUNK_VALUES = 1 << 20


@dataclass(frozen=True)
class ObservedSample:
    """Counts of observed species, checked.

    Attributes:
        counts: (n_species) records, or plots, of each species found.
        n_units: records in all, or plots.
        incidence: whether the units are plots.
    """

    counts: NDArray[np.int64]
    n_units: int
    incidence: bool

    @property
    def n_species(self) -> int:
        """Species found."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Records, or species found summed over plots."""
        return int(self.counts.sum())

    @property
    def n_once(self) -> int:
        """Species found once."""
        return int(np.count_nonzero(self.counts == 1))

    @property
    def n_twice(self) -> int:
        """Species found twice."""
        return int(np.count_nonzero(self.counts == 2))

    @cached_property
    def n_missing(self) -> float:
        """Species estimated to be there and not found, f̂0: at least so many."""
        once, twice, share = self.n_once, self.n_twice, (self.n_units - 1) / self.n_units
        return share * (once**2 / (2 * twice) if twice else once * (once - 1) / 2)

    @cached_property
    def _next(self) -> float:
        """A of Chao & Jost 2012: (1 − A)^m of the deficit in coverage is left after m more units."""
        once, twice, n = self.n_once, self.n_twice, self.n_units
        if twice and once:
            return 2 * twice / ((n - 1) * once + 2 * twice)
        return 2 / ((n - 1) * (once - 1) + 2) if once > 1 else 1.0

    def coverage(self, size: int | None = None) -> float:
        """Estimated share of all individuals (or of all incidences) that belong to the species of a sample.

        Args:
            size: units of the sample; by default the one observed, beyond it an extrapolation.

        Returns:
            0…1; NaN where only one unit was observed. With one species found once and none twice it is 1, as
            in iNEXT: the estimate needs species found twice.

        Raises:
            RuleError: a size below 1.
        """
        n = self.n_units
        m = n if size is None else _whole_size(size)
        if n == 1:
            return float("nan")  # one unit does not tell
        if m >= n:
            return float(1.0 - self.n_once / self.total * (1.0 - self._next) ** (m - n + 1))
        absent = np.exp(_log_choose(n - self.counts, m) - _log_choose(n - 1, m))
        return float(1.0 - self.counts / self.total @ absent)

    def diversity(self, order: float, size: int | None = None) -> float:
        """Expected Hill number of a sample of `size` units: rarefied, or extrapolated beyond the observed.

        Extrapolation approaches the estimate of `asymptote`; it is reliable to about twice the observed size
        for order 0 (Chao et al. 2014), and further for higher orders. Order 1 follows iNEXT: D(n + m) =
        D(n) + (D(∞) − D(n)) (1 − (1 − b)^m) with b = (D(n) − D(n − 1)) / (D(∞) − D(n − 1)).

        Args:
            order: 0 or more; extrapolation only for 0, 1 and 2.
            size: units of the sample; by default the one observed.

        Raises:
            RuleError: a size below 1, a negative order, or an order that cannot be extrapolated.
        """
        if not (order >= 0 and np.isfinite(order)):
            raise RuleError(f"The order of a Hill number is {order:g}, expected 0 or more (usually 0, 1, 2).")
        n = self.n_units
        m = n if size is None else _whole_size(size)
        if m == n:
            return _hill_of_shares(self.counts / self.total, order)
        if m < n:
            return self._rarefied(order, m)
        if order == 0:
            found, missing = float(self.n_species), self.n_missing
            if missing == 0:
                return found
            return found + missing * (1.0 - (1.0 - self.n_once / (n * missing + self.n_once)) ** (m - n))
        if order == 2:
            return self._inverse_simpson(m)
        if order == 1:
            limit, now = self.asymptote(1), self.diversity(1)
            before = self._rarefied(1, n - 1) if n > 1 else 1.0
            if limit <= now:
                return now
            step = (now - before) / (limit - before)
            return now + (limit - now) * (1.0 - (1.0 - step) ** (m - n))
        raise RuleError(
            f"A Hill number of order {order:g} cannot be extrapolated beyond {n} units; choose order 0, 1 or "
            "2, or a smaller size."
        )

    def _rarefied(self, order: float, m: int) -> float:
        n, counts = self.n_units, self.counts
        if order == 0:
            return float((1.0 - np.exp(_log_choose(n - counts, m) - _log_choose(n, m))).sum())
        if order == 2:
            return self._inverse_simpson(m)
        values, repeats = np.unique(counts, return_counts=True)
        shares = np.arange(1, min(m, int(values[-1])) + 1) / (m * self.total / n)
        term = -shares * np.log(shares) if order == 1 else shares**order
        total = 0.0
        step = max(1, _CHUNK_VALUES // len(values))
        for start in range(0, len(shares), step):
            k = np.arange(start + 1, min(start + step, len(shares)) + 1)[:, None]
            log_chance = _log_choose(values, k) + _log_choose(n - values, m - k) - _log_choose(n, m)
            total += float(term[start : start + step] @ (np.exp(log_chance) @ repeats))
        return float(np.exp(total)) if order == 1 else total ** (1.0 / (1.0 - order))

    def _inverse_simpson(self, m: int) -> float:
        """Expected inverse Simpson index of m units, fewer or more than observed."""
        n, rate = self.n_units, self.total / self.n_units
        pairs = float((self.counts * (self.counts - 1.0)).sum()) / (self.total**2 * (1.0 - 1.0 / max(n, 2)))
        return 1.0 / (1.0 / (m * rate) + (m - 1) / m * pairs)

    def asymptote(self, order: int) -> float:
        """Estimated Hill number of the whole assemblage: Chao1 or Chao2, and Chao & Jost 2015 for 1 and 2.

        Order 0 is a lower bound. Order 1 is exp of the entropy estimator of Chao, Wang & Jost 2013 (doi
        10.1111/2041-210X.12108), order 2 the unbiased inverse Simpson index; NaN where no species was found
        twice or more.

        Raises:
            RuleError: an order other than 0, 1 and 2.
        """
        n, counts = self.n_units, self.counts
        if order == 0:
            return self.n_species + self.n_missing
        if order == 1:
            known = float((counts / n * (digamma(n) - digamma(counts))).sum())
            a, rest = self._next, 0.0
            if self.n_once and a < 1:
                r = np.arange(1, n)
                left = -np.log(a) - float(((1.0 - a) ** r / r).sum())
                rest = self.n_once / n * (1.0 - a) ** (1 - n) * max(left, 0.0)
            return float(np.exp((known + rest) * n / self.total + np.log(self.total / n)))
        if order == 2:
            pairs = float((counts * (counts - 1.0)).sum())
            return self.total**2 * (1.0 - 1.0 / n) / pairs if pairs else float("nan")
        raise RuleError(f"The asymptote of order {order:g} is not estimated; choose order 0, 1 or 2.")

    def size_for_coverage(self, coverage: float, largest: int | None = None) -> int:
        """Smallest sample whose estimated coverage reaches `coverage`; for comparing unequal samples fairly.

        Args:
            coverage: above 0 and below 1.
            largest: size not to go beyond; by default twice the one observed.

        Raises:
            RuleError: a coverage out of range, or one that `largest` units do not reach.
        """
        if not 0 < coverage < 1:
            raise RuleError(f"The coverage is {coverage:g}, expected a share above 0 and below 1.")
        low, high = 1, 2 * self.n_units if largest is None else _whole_size(largest)
        if not self.coverage(high) >= coverage:
            raise RuleError(
                f"A coverage of {coverage:g} is not reached by {high} units (they reach "
                f"{self.coverage(high):.3f}); choose a lower one."
            )
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.coverage(middle) >= coverage else (middle + 1, high)
        return low

    def resampled(self, generator: np.random.Generator) -> ObservedSample:
        """One bootstrap sample from the assemblage estimated behind this one (Chao et al. 2014, appendix G).

        Found species get the frequencies X/n (1 − λ (1 − X/n)^n), with λ such that they share the coverage;
        ⌈f̂0⌉ species that were not found share the rest evenly.
        """
        n, share = self.n_units, self.counts / self.n_units
        if n == 1:
            return self
        deficit = (1.0 - self.coverage()) * self.total / n
        unseen = (1.0 - share) ** n
        weight = float((share * unseen).sum())
        found = share * (1.0 - (deficit / weight if weight > 0 else 0.0) * unseen)
        n_missing = int(np.ceil(self.n_missing))
        if n_missing:
            found = np.append(np.maximum(found, 0.0), np.full(n_missing, deficit / n_missing))
        if self.incidence:
            counts = generator.binomial(n, np.clip(found, 0.0, 1.0))
        else:
            counts = generator.multinomial(n, found / found.sum())
        counts = counts[counts > 0]
        return ObservedSample(counts if counts.size else np.array([1]), n, self.incidence)


@dataclass(frozen=True)
class RarefactionCurve:
    """Expected diversity and coverage of samples of rising size.

    Attributes:
        size: (n_points) units; those above `observed_size` are extrapolated.
        diversity, low, high: (n_points) Hill number and its interval, NaN without a bootstrap.
        coverage: (n_points) estimated coverage.
        order: order of the Hill number.
        observed_size: units observed.
        level: share of the interval.
    """

    size: NDArray[np.int64]
    diversity: Floats
    low: Floats
    high: Floats
    coverage: Floats
    order: float
    observed_size: int
    level: float


def observed_sample(counts: ArrayLike, n_plots: int | None = None) -> ObservedSample:
    """Counts per species as a sample to rarefy.

    Args:
        counts: (n_species) whole numbers of records of each species, zeros are left out; with `n_plots` the
            number of plots each was found in.
        n_plots: plots surveyed, those without any species included.

    Raises:
        RuleError: negative, broken or missing counts, no species, or a species in more plots than there are.
    """
    array = np.asarray(counts)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise RuleError(
            f"counts has type {array.dtype} and shape {array.shape}, expected one whole number per species."
        )
    if array.dtype.kind == "f" and not np.all((array == np.rint(array)) & np.isfinite(array)):
        odd = array[~((array == np.rint(array)) & np.isfinite(array))][0]
        raise RuleError(f"counts holds the value {odd:g}, expected whole numbers of records or plots.")
    if array.size and array.min() < 0:
        raise RuleError(f"counts holds the value {array.min():g}, expected counts of zero or more.")
    whole = array.astype(np.int64)
    whole = whole[whole > 0]
    if not whole.size:
        raise RuleError("counts holds no species that was found; there is nothing to rarefy.")
    if n_plots is None:
        return ObservedSample(whole, int(whole.sum()), False)
    if n_plots != int(n_plots) or n_plots < whole.max():
        raise RuleError(
            f"n_plots is {n_plots}, but a species was found in {whole.max()} plots; give the number of all "
            "plots."
        )
    return ObservedSample(whole, int(n_plots), True)


def rarefaction_curve(
    sample: ObservedSample,
    order: float = 0,
    sizes: ArrayLike | None = None,
    n_points: int = 40,
    n_bootstrap: int = 50,
    generator: np.random.Generator | None = None,
    level: float = 0.95,
) -> RarefactionCurve:
    """Diversity and coverage against the size of the sample, with bootstrapped intervals.

    An interval is the estimate ± the normal quantile times the standard deviation over bootstrap samples, as
    in iNEXT, cut at 0: it says how much another survey of the same effort would differ, not what is missing.

    Args:
        sample: from `observed_sample`.
        order: of the Hill number; beyond the observed size only 0, 1 and 2.
        sizes: sizes to show; by default `n_points` from 1 to twice the observed size (to the observed size
            for other orders), the observed size among them.
        n_points: number of points where no sizes are given.
        n_bootstrap: samples for the intervals; 0 for none.
        generator: source of the samples; needed for intervals.
        level: share of the interval, above 0 and below 1.

    Raises:
        RuleError: sizes below 1, an order that is not defined, intervals without a generator, or a level out
            of range.
    """
    n = sample.n_units
    if not 0 < level < 1:
        raise RuleError(
            f"The interval level is {level:g}, expected a share above 0 and below 1 such as 0.95."
        )
    if n_bootstrap and generator is None:
        raise RuleError("Intervals need a random generator; give one, or n_bootstrap=0.")
    if sizes is None:
        largest = 2 * n if order in (0, 1, 2) else n
        shown = np.append(np.linspace(1, largest, max(n_points, 2)), n)
    else:
        shown = np.atleast_1d(np.asarray(sizes, dtype=np.float64))
        if not np.isfinite(shown).all():
            raise RuleError("sizes holds NaN or an infinite value, expected numbers of records or plots.")
    size = np.unique(np.rint(shown).astype(np.int64))
    diversity = np.array([sample.diversity(order, int(m)) for m in size])
    spread = np.full(len(size), np.nan)
    if n_bootstrap:
        assert generator is not None
        drawn = [sample.resampled(generator) for _ in range(n_bootstrap)]
        values = np.array([[one.diversity(order, int(m)) for m in size] for one in drawn])
        spread = values.std(axis=0, ddof=1) if n_bootstrap > 1 else np.zeros(len(size))
    from scipy.special import ndtri

    reach = float(ndtri((1.0 + level) / 2.0)) * spread
    return RarefactionCurve(
        size,
        diversity,
        np.maximum(diversity - reach, 0.0),
        diversity + reach,
        np.array([sample.coverage(int(m)) for m in size]),
        float(order),
        n,
        level,
    )


def _hill_of_shares(shares: Floats, order: float) -> float:
    if order == 1:
        return float(np.exp(-(shares * np.log(shares)).sum()))
    return float((shares**order).sum() ** (1.0 / (1.0 - order)))


def _whole_size(size: int) -> int:
    if size != int(size) or size < 1:
        raise RuleError(f"The size of a sample is {size}, expected a whole number of units, 1 or more.")
    return int(size)


def _log_choose(n: ArrayLike, k: ArrayLike) -> Floats:
    """Logarithm of n over k; −∞ where k is above n or below 0."""
    top, bottom = np.broadcast_arrays(np.asarray(n, np.float64), np.asarray(k, np.float64))
    out = np.full(top.shape, -np.inf)
    possible = (bottom >= 0) & (bottom <= top)
    a, b = top[possible], bottom[possible]
    out[possible] = gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)
    return out
