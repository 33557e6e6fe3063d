# %% [markdown]
# Who did the work? Three nodes run the same program, one of them lies: the curves tell them apart.

# %%
from pathlib import Path

from assay_client import Assay

BARS = " ▁▂▃▄▅▆▇█"

assay = Assay()
job = assay.submit("assay/demo:1", ["sh", "-c", "x=$(seq 1000000); sleep 2; echo done"], concurrency=3)
result = job.result()

# %% The ten samples of each run, as the verdict compares them.
most = max(max(run.memory_kib or (0,)) for run in result.runs) or 1
for run in result.runs:
    bars = "".join(BARS[sample * 8 // most] for sample in run.memory_kib or ())
    print(f"{run.node[2:10]}  {bars:10}  {run.judgement}: {run.reason}")

# %% The whole curves, as the dashboard draws them.
Path("runs.svg").write_text(job.plot())
