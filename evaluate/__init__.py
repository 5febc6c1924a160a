"""How good search, recommendations and encoders are on labelled data; ``twinlens evaluate``.

From Python::

    from twinlens.encoders.load import load_thumbnail_encoder
    from twinlens.evaluate.known_items import make_known_item_tasks
    from twinlens.evaluate.search import load_title_encoders, measure_search
    from twinlens.evaluate.report import format_search
    from twinlens.evaluate.tasks import read_corpus

    tasks = make_known_item_tasks(read_corpus("videos.jsonl"), limit=200, seed=0)
    title_encoders, _ = load_title_encoders(["packaged:use-m3"])
    report = measure_search(tasks, title_encoders, load_thumbnail_encoder("packaged:denoiser"))
    print(format_search(report))

Tasks come from ``tasks``, ``known_items`` and ``labelled``; they are measured by ``search`` and
``fusion``. ``recommendations`` and ``thumbnails`` have data of their own. Every report is a
tree of ``measures.Mean``; ``report`` makes text and pictures of it, ``machine`` JSON.
"""
