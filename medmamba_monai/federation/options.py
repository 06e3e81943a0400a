"""The options of a federation, which its server tells to every site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import Field, PlainValidator

from medmamba_monai.bundle.commands import Command
from medmamba_monai.core.errors import UserError
from medmamba_monai.core.options import Expects, Flag, NumberFrom0, Options, Switch, Text, WholeFrom1, WholeNumbers
from medmamba_monai.training.options import TrainingOptions

Privacy = Literal["none", "percentile", "svt", "encryption"]
PRIVACY: tuple[Privacy, ...] = get_args(Privacy)
"""Filters of NVFlare on what leaves a site; percentile promises nothing, encryption changes nothing."""

OF_A_SITE = (Flag.FREE, Flag.PRIVATE, Flag.PER_FOLD, Flag.UNLOGGED)
"""Flags of training options that are no matter of the federation: folders, devices, names."""


def _check_privacy(value: Any) -> Privacy:
    if value not in PRIVACY:
        raise UserError(f"--privacy {value!r}: give {', '.join(PRIVACY)}")
    return cast(Privacy, value)


PrivacyName = Annotated[Privacy, PlainValidator(_check_privacy), Expects(f"one of {', '.join(PRIVACY)}")]


class FederationOptions(Options):
    """What a federation adds to the options of its training."""

    run_name: Text = Field(default="federation", description="name of the federation and of its folder at each site")
    folds: WholeNumbers | None = Field(default=None, description="folds to train, such as [0,1]; None: all")
    rounds: WholeFrom1 = Field(default=10, description="how often the sites' networks are averaged")
    epochs: WholeFrom1 = Field(default=1, description="passes over a site's training part in each round")
    min_sites: WholeFrom1 | None = Field(default=None, description="sites that must answer a round; None: all")
    timeout: WholeFrom1 = Field(default=3600, description="seconds that a site may take for a round")
    lost_after: WholeFrom1 = Field(default=60, description="seconds without a sign of life until a site is gone")
    proximal: NumberFrom0 = Field(default=0.0, description="weight of FedProx's pull to the common network; 0: none")
    local_batch_norm: Switch = Field(default=False, description="each site keeps its own batch norms (FedBN)")
    privacy: PrivacyName = Field(default="none", description="filter of NVFlare on what leaves a site")

    @property
    def encrypts(self) -> bool:
        """Whether updates are encrypted at the sites."""
        return self.privacy == "encryption"


FEDERATE = Command("federate", ("train",), "training", (TrainingOptions, FederationOptions), without=OF_A_SITE)
"""The options of the command: those of a training that all sites share, and the federation's own."""


MAY_CHANGE = ("min_sites", "timeout", "lost_after")
"""Options that may be others when a federation goes on."""


@dataclass(frozen=True)
class Plan:
    """What a server tells the sites of a federation.

    Attributes:
        options: of the federation.
        training: options of the training that are the same at each site, by name; all others are the bundle's.
        identity: tells this federation from another one of the same name.
    """

    options: FederationOptions
    training: dict[str, Any]
    identity: str = ""

    @classmethod
    def of(cls, given: dict[str, Any], identity: str) -> Plan:
        """Make a plan of the options of a command.

        Raises:
            UserError: there is no such option, or a value does not fit.
        """
        values = FEDERATE.check(given)
        own = {name: values.pop(name) for name in FederationOptions.model_fields if name in values}
        return cls(FederationOptions(**own), values, identity)

    def to_message(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"options": self.options.values(), "training": self.training, "identity": self.identity}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Plan:
        """Read what `to_message` gave."""
        return cls(FederationOptions(**message["options"]), message["training"], message["identity"])
