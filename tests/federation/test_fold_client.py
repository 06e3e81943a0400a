"""A fold of a site: the bundle's own training, of weights that come from outside."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("nvflare", reason="the extra federation is not installed")

from medmamba_monai.core.errors import UserError
from medmamba_monai.core.run_folder import RunFolder
from medmamba_monai.federation.begun_rounds import BegunRounds
from medmamba_monai.federation.fold_client import FoldClient, find_kept, list_batch_norms
from medmamba_monai.federation.options import Plan
from medmamba_monai.federation.proximal import ProximalLoss
from medmamba_monai.federation.site import read_site
from medmamba_monai.federation.site_worker import CHECK, SiteWorker
from tests.helpers.federation import make_sites
from tests.helpers.small_bundle import SMALL, SmallBundle

TRAINING = {name: value for name, value in SMALL.items() if name != "epochs"} | {"precise_batch_norm": True}


@pytest.fixture(scope="module")
def rounds(small_bundle: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A round of a site that keeps its batch norms, from weights with a bias of 7."""
    folder, threads = tmp_path_factory.mktemp("site"), torch.get_num_threads()
    torch.set_num_threads(1)
    site = read_site(make_sites(folder, small_bundle, "north"), "north")
    plan = Plan.of({**TRAINING, "local_batch_norm": True, "proximal": 0.1}, "first")
    client = FoldClient(site, plan, 0)
    sent = client.weights()
    sent["head.bias"] = sent["head.bias"] + np.float32(7)
    update, metrics = client.train(sent, 1)
    trained, judged = client.weights(), client.validate(sent)
    client.close()
    again = FoldClient(site, plan, 0, begins=1)
    update_again, _ = again.train(sent, 1)
    again.close()
    torch.set_num_threads(threads)
    names = list_batch_norms(client.network)
    return SimpleNamespace(**locals())


def test_an_update_is_what_training_added_to_what_was_sent(rounds):
    assert abs(rounds.update["head.bias"]).max() < 0.5
    assert rounds.trained["head.bias"] == pytest.approx(rounds.sent["head.bias"] + rounds.update["head.bias"])
    assert any(np.any(value) for value in rounds.update.values())


def test_a_round_that_is_trained_once_more_gives_what_it_gave(rounds):
    """Batch norms are begun with as they were, too: else an update would be that of a second round."""
    assert rounds.update_again.keys() == rounds.update.keys()
    assert all(np.array_equal(rounds.update_again[name], value) for name, value in rounds.update.items())
    assert json.loads((rounds.client.folder.path / "rounds.json").read_text()) == {"1": 0}


def test_what_a_round_began_with_is_found_among_the_checkpoints(tmp_path: Path):
    folder, rounds = RunFolder(tmp_path), BegunRounds(RunFolder(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for number, epoch in ((1, 0), (2, 2), (3, 4)):
        for later in (epoch - 1, epoch) if epoch else ():
            (tmp_path / "checkpoints" / f"checkpoint_epoch={later:04d}.pt").touch()
        rounds.note(number)
    assert json.loads(folder.begun_rounds.read_text()) == {"1": 0, "2": 2, "3": 4}
    assert [rounds.find_end(number) for number in (1, 2, 3)] == [2, 4, 4]
    rounds.undo(3)
    assert rounds.count_epochs() == 4
    rounds.undo(2)
    assert rounds.count_epochs() == 2
    rounds.undo(1)
    assert rounds.count_epochs() == 0


def test_nothing_is_undone_where_what_a_round_began_with_is_gone(tmp_path: Path, caplog):
    rounds = BegunRounds(RunFolder(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    first, second = (tmp_path / "checkpoints" / f"checkpoint_epoch={epoch:04d}.pt" for epoch in (3, 4))
    first.touch()
    rounds.note(2)
    first.unlink()
    second.touch()
    rounds.undo(2)
    assert second.is_file()
    assert "round 2 goes on from checkpoint_epoch=0004.pt, as what it began with is gone" in caplog.text


def test_batch_norms_stay_at_the_site(rounds):
    assert {"running_mean", "running_var", "weight", "bias"} <= {name.rpartition(".")[2] for name in rounds.names}
    assert rounds.update.keys() == rounds.sent.keys() - rounds.names


def test_a_site_that_comes_back_has_the_batch_norms_that_it_trained(rounds):
    kept = find_kept(rounds.client.folder, rounds.sent, rounds.names)
    assert kept.keys() == rounds.names
    assert all(np.array_equal(kept[name], rounds.trained[name]) for name in kept)
    changed = [name for name in kept if not np.array_equal(kept[name], rounds.sent[name])]
    assert any(name.endswith("running_mean") for name in changed)


def test_a_site_that_never_trained_keeps_what_it_begins_with(rounds, tmp_path: Path):
    kept = find_kept(RunFolder(tmp_path), rounds.sent, rounds.names)
    assert all(np.array_equal(kept[name], rounds.sent[name]) for name in rounds.names)


def test_metrics_are_of_training_and_of_validation(rounds):
    assert rounds.metrics.keys() == {"train_loss"}
    assert {"validation_auc", "validation_loss", "validation_accuracy"} <= rounds.judged.keys()


def test_a_folder_of_another_federation_is_left_alone(rounds):
    SiteWorker(rounds.site).answer(CHECK, None, Plan.of(TRAINING, "first"), 0, 0)
    SiteWorker(rounds.site).answer(CHECK, None, Plan.of(TRAINING, "first"), 0, 0)
    with pytest.raises(UserError, match=r"holds another federation of the name federation; .*--run_name"):
        SiteWorker(rounds.site).answer(CHECK, None, Plan.of(TRAINING, "second"), 0, 0)


def test_the_proximal_term_is_half_mu_times_the_squared_distance():
    network = torch.nn.Linear(2, 1)
    loss = ProximalLoss(torch.nn.MSELoss(), network, mu=0.3)
    loss.remember()
    with torch.no_grad():
        network.weight += 2
        network.bias -= 1
    value = loss(torch.zeros(1), torch.ones(1))
    assert value.item() == pytest.approx(1 + 0.3 / 2 * (4 + 4 + 1))
    value.backward()
    assert network.weight.grad is not None
    assert network.weight.grad.tolist() == [[pytest.approx(0.6)] * 2]
    assert list(loss.parameters()) == []
