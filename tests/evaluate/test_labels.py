"""Names of channels, tags and categories, asked for."""

from twinlens.catalog.video import Video
from twinlens.evaluate.labels import make_label_tasks
from twinlens.evaluate.measures import measure_rankings
from twinlens.evaluate.search import leave_out_unjudged
from twinlens.evaluate.tasks import Corpus


def make_corpus(channels: int) -> Corpus:
    return Corpus(
        "small",
        [
            Video(
                video_id=f"{at}-{number}",
                title=f"On channel {at}" if number else f"Name{at} live",
                values={"channel": f"Name{at}"},
            )
            for at in range(channels)
            for number in range(3)
        ],
    )


def test_a_name_asks_for_its_videos_whose_title_lacks_it() -> None:
    [task] = make_label_tasks(make_corpus(12), limit=20, seed=0)
    assert (task.family, task.name, len(task.queries)) == ("labels", "small, channel", 12)
    assert task.qrels["name3"] == {"3-1": 1, "3-2": 1}
    found = leave_out_unjudged(task, {name: ["3-0", "3-2", "3-1"] for name in task.queries})
    assert found["name3"] == ["3-2", "3-1"]
    assert found["name4"] == ["3-0", "3-2", "3-1"]
    assert measure_rankings(task.qrels, found)["nDCG@10"].sum() == 1


def test_no_task_where_there_are_too_few_names() -> None:
    assert make_label_tasks(make_corpus(9), limit=20, seed=0) == []
