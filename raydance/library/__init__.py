"""Captioning a library of motion: what is read, what is said of it, where that is kept, how it is
found again. No Ray; `raydance.cluster.caption` spreads the work over a cluster.

    library -> units (`units`) -> captions of windows and clips (`describer`) -> a folder (`store`)
            -> segments (`segments`), subtitles (`subtitles`), search (`finder`)
"""
