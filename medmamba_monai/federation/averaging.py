"""How a server averages what the sites' trainings added to the common weights."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

from medmamba_monai.federation.progress import Weights


class Averaging:
    """Averages updates by NVFlare's helper."""

    weighted_at_sites = False
    """Whether sites have multiplied their updates by their training images."""

    def average(self, updates: Mapping[str, Weights], images: Mapping[str, int]) -> Weights:
        """Average updates, weighted by training images: McMahan et al. (2017), algorithm 1.

        Args:
            updates: by site.
            images: training images by site.
        """
        helper = WeightedAggregationHelper(weigh_by_local_iter=not self.weighted_at_sites)
        for site in sorted(updates):  # sums depend on the order, and answers come in any
            helper.add(updates[site], images[site], site, 0)
        average: Weights = helper.get_result()
        return average

    def add(self, weights: Weights, update: Weights) -> Weights:
        """Return weights with an update added to those that it has, each in the type that it had."""
        return {
            name: (value + update[name]).astype(value.dtype) if name in update else value
            for name, value in weights.items()
        }
