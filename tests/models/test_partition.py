from t2t.models.partition import join, partition

TREE = {"encoder": {"a": 1, "b": {"c": 2}}, "decoder": {"a": ("embed", "mlp")}, "head": 4}


def test_parts_hold_every_leaf_once_and_no_empty_branch():
    chosen, rest = partition(TREE, lambda name: name.startswith("decoder") or name == "encoder/b/c")
    assert chosen == {"encoder": {"b": {"c": 2}}, "decoder": {"a": ("embed", "mlp")}}
    assert rest == {"encoder": {"a": 1}, "head": 4}
    assert join(rest, chosen) == join(chosen, rest) == TREE


def test_all_or_nothing_leaves_the_other_part_empty():
    assert partition(TREE, lambda name: True) == (TREE, {})
    assert partition(TREE, lambda name: False) == ({}, TREE)


def test_the_second_tree_wins_and_neither_is_changed():
    second = {"encoder": {"a": 10}}
    assert join(TREE, second)["encoder"] == {"a": 10, "b": {"c": 2}}
    assert TREE["encoder"]["a"] == 1 and second == {"encoder": {"a": 10}}
