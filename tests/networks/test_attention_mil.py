from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from medmamba_monai.core.errors import UserError
from medmamba_monai.networks import AttentionMIL, build_bag_network, build_network


def make_bags(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Bags of 8 to 20 tiles with 6 features; those of class 1 have one tile with a high third feature, whose place."""
    generator = torch.Generator().manual_seed(seed)
    bags = torch.zeros(number, 7, 20)
    places = torch.zeros(number, dtype=torch.long)
    for index, count in enumerate(torch.randint(8, 21, (number,), generator=generator).tolist()):
        bags[index, 0, :count] = 1
        bags[index, 1:, :count] = torch.randn(6, count, generator=generator)
        places[index] = torch.randint(count, (1,), generator=generator)
        if index % 2:
            bags[index, 3, places[index]] = 6
    return bags, torch.arange(number) % 2, places


def test_it_learns_from_labels_of_slides_alone_which_tile_tells():
    torch.manual_seed(0)
    network = build_bag_network("attention_mil", 6, 2)
    bags, labels, _ = make_bags(40, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(bags), labels).backward()
        optimizer.step()
    network.eval()
    others, truth, places = make_bags(60, seed=1)
    with torch.inference_mode():
        scores, attention = network(others).softmax(1)[:, 1], network.compute_attention(others)
    assert roc_auc_score(truth, scores) >= 0.95
    assert (attention.argmax(1) == places)[truth == 1].float().mean() >= 0.9


def test_padding_changes_nothing_and_has_no_attention():
    torch.manual_seed(0)
    network = build_bag_network("attention_mil", 6, 3).eval()
    bag = make_bags(1, seed=2)[0][:, :, :8]
    padded = torch.nn.functional.pad(bag, (0, 5))
    with torch.inference_mode():
        torch.testing.assert_close(network(padded), network(bag))
        attention = network.compute_attention(padded)
    assert attention[0, 8:].eq(0).all()
    torch.testing.assert_close(attention.sum(), torch.tensor(1.0))


def test_the_scale_of_the_features_is_part_of_the_weights():
    mean, scale = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0])
    network = build_bag_network("attention_mil", 2, 2, (mean, scale))
    assert network.state_dict()["scale"].tolist() == [2, 1]
    plain = AttentionMIL(2, 2)
    plain.load_state_dict(network.state_dict())
    bags = torch.tensor([[[1.0], [3.0], [2.0]]])
    torch.testing.assert_close(plain.eval()(bags), network.eval()(bags))


def test_images_are_refused_and_so_are_options_of_other_networks():
    with pytest.raises(UserError, match=r"takes bags of tiles \(batch, 1 \+ 6, tiles\), not the shape \[1, 3, 8, 8\]"):
        build_bag_network("attention_mil", 6, 2)(torch.zeros(1, 3, 8, 8))
    with pytest.raises(UserError, match=r"'resnet18': takes images"):
        build_bag_network("resnet18", 6, 2)
    with pytest.raises(UserError, match=r"has no depths, but depths=\[1, 1\] was given"):
        build_bag_network("attention_mil", 6, 2, depths=[1, 1], scan_backend="auto")
    with pytest.raises(UserError, match=r"'attention_mil' takes tiles of slides"):
        build_network("attention_mil", 2, 3, 2, 32)
