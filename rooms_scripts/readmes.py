import os
os.chdir('/work/rooms')
R={}
def r(folder,intro,rows,not_in):
    s=f'# {folder}/\n\n{intro}\n\n| file | holds |\n|---|---|\n'
    for a,b in rows: s+=f'| {a} | {b} |\n'
    s+=f'\nNot in here: {not_in}\n'
    open(folder+'/README.md','w').write(s)
r('placement/base','What every folder may use and nothing about experts.',[
('`error`','errors with their exit codes'),('`index`','counts as the sizes that containers take'),
('`checked_sizes`','products of sizes, checked before memory is taken'),('`statistics`','quantiles, imbalance'),
('`random`','numbers from a seed, the same on every machine'),('`parallel`, `plan_watch`','tasks side by side; who is told how far planning is'),
('`input_file`, `whole_file`','reading a file; writing one whole or not at all'),('`output_owner`','one output, one owner: `PATH.lock`')],
'anything that knows a layer, a rank or a file format.')
r('placement/loads','What experts get, step by step, and loads that are made up.',[
('`trace`','expert loads over steps, with the ids of tokens where they are known'),
('`trace_info`','what loads are like: skew, consistent and temporal experts, groups, drift'),
('`synthetic`, `synthetic_*`, `draws`','generators of loads by preset; the draws they make'),
('`multinomial_steps`','steps drawn from the totals of a run'),
('`planned_steps`','digests that tell which steps a placement was planned on')],
'loads as serving engines record them ([recordings/](../recordings/README.md)); trace.h5 (`results/`).')
r('placement/speeds','What a rank needs for a load, measured here or by others.',[
('`profile`','seconds of every rank against load; the two cost models made of it'),
('`profile_samples`','the readings behind a profile: medians, their intervals, outliers'),
('`profile_dents`','where latency falls while load grows, beyond noise'),
('`profile_verdict`','which ranks are slow, slow down, or have changed since an older profile'),
('`builtin_profiles`, `builtin_latencies`','reference profiles: latencies measured by others, with their source'),
('`builtin_slowdowns`','slowdowns drawn like those of real GPUs; stretching a profile by them')],
'measuring (`moe_layer/profiler/`); profile.h5 (`results/`).')
r('placement/cost','A placement, and what it is worth.',[
('`placement`, `placement_file`','which rank holds which expert, with replicas and empty slots; its JSON file, with the layers\' indices in the model and what it was planned on'),
('`token_split`, `water_fill`','how a replicated expert\'s tokens are split: the one definition; levelling predicted finish times'),
('`objective`, `bound`','predicted seconds; their lower bound'),('`score`','what a placement is worth on some steps'),
('`expert_sums`','loads summed over steps, and the cost model that belongs to sums'),
('`cost_choice`','which cost model explains a profile\'s routed loads better'),
('`node_traffic`, `node_targets`','bytes that dispatch sends between nodes')],
'how a placement is found.')
r('placement/search','One layer, minimised.',[
('`local_search`','the layer\'s problem, starts and local search'),
('`swap_descent`, `swap_state`, `pair_view`','swaps until none helps; what a swap changes; what it is worth'),
('`search_costs`, `search_kernels`','cost models in whole units; the two innermost loops, plain, AVX2, AVX-512')],
'several layers, nodes, replicas: that is what strategies decide.')
r('placement/strategies','The table of strategies, and a file each.',[
('`strategy`','the table, and what each takes; placements from files; linear, round-robin, random'),
('`slot_count`','how many slots ranks have: the one place that accepts or refuses ranks, experts, spare slots, replicas'),
('`eplb`, `vibe`, `flashlb`','baselines: mean load; mean load by speed; mean, variance, covariance'),
('`gem`, `gem_plus`, `exact`, `branch_and_bound`','GEM; ours: the same objective searched harder; the optimum of small layers'),
('`gem_plus_cv`','ours: `gem+` with a share of the mean load\'s time, cross-validated'),
('`plan_layers`','layers planned side by side'),('`replicas`','who gets replicas, and how many are worth it'),
('`node_settling`','trading bytes between nodes for time'),
('`layer_cut`, `replan`','one layer of a placement in force, as a search wants it; a placement mended with few moves'),
('`relabel`','whole rows of experts to the ranks whose speed suits them'),
('`ablation`','what knowing time and speed is worth')],
'how one layer is searched ([search/](../search/README.md)).')
s=open('placement/encodings/README.md').read().replace('# placement/containers/','# placement/encodings/').replace('| containers: NumPy','| NumPy')
open('placement/encodings/README.md','w').write(s)
s=open('placement/recordings/README.md').read().replace('containers that know nothing of experts ([containers/](../containers/README.md))','encodings that know nothing of experts ([encodings/](../encodings/README.md))')
open('placement/recordings/README.md','w').write(s)
p=open('placement/README.md').read()
i=p.index('| file | holds |'); j=p.index('A new strategy is one pure')
p=p[:i]+'''A folder may include those above it, never one below:

| folder | holds |
|---|---|
| [`base/`](base/README.md) | what every folder may use: errors, sizes, threads, numbers from a seed, statistics, whole files |
| [`encodings/`](encodings/README.md) | bytes of other programs' files: compression, JSON, YAML, .npy, safetensors, pickles |
| [`loads/`](loads/README.md) | what experts get, step by step, and made-up loads |
| [`speeds/`](speeds/README.md) | what a rank needs for a load, measured here or by others |
| [`cost/`](cost/README.md) | a placement, and what it is worth |
| [`search/`](search/README.md) | one layer, minimised |
| [`exchange/`](exchange/README.md) | placements in the formats of serving engines; traffic for benchmarks of communication |
| [`recordings/`](recordings/README.md) | loads as serving engines record them, and how recorded tokens become steps |
| [`strategies/`](strategies/README.md) | the table of strategies, and a file each |

'''+p[j:].replace('one row in `strategy.cpp`','one row in [`strategies/strategy.cpp`](strategies/strategy.cpp)')
open('placement/README.md','w').write(p)
r('moe_layer/mpi','The only code that sees MPI, and what ranks know of each other.',[
('`comm`','the only code that sees MPI'),('`topology`, `clock_offset`','which rank is on which node; how far apart the nodes\' clocks are'),
('`rank_place`, `clock`','CPUs, cores and quotas of a rank, and what ranks share; which clock follows from that'),
('`progress`','where a rank is, for whoever watches it')],'layers, experts, devices.')
r('moe_layer/model','What a layer is.',[('`shape`','shapes of models'),('`weights`','weights and inputs from a seed, bit-identical everywhere'),
('`routing`','which token goes to which experts: ids replayed, or counts dealt exactly')],'where anything is computed.')
r('moe_layer/device','The interface between the layer and what computes it.',[('`device`, `device_calls`, `buffer`','opaque buffers, a stream, the phases as calls'),
('`cuda_plugin`','how the library of the CUDA device is loaded')],'an implementation: [cpu/](../cpu/README.md), [cuda/](../cuda/README.md).')
r('moe_layer/cpu','The CPU behind the interface: oneDNN on one thread.',[('`device`, `routing`, `packing`, `experts`','the phases'),('`gemm`','the only code that sees oneDNN'),
('`feed_forward`, `chunks`, `tuning`','an expert\'s three products; how many rows go through them together; what that costs on this CPU'),
('`memory`, `row_math`','memory on huge pages; loops over rows, vectorised for every CPU'),
('`state`, `noise_probe`','what Linux says of a CPU: clock, temperature, power; time lost in fixed work, how far apart ranks leave a barrier')],'anything of a GPU.')
r('moe_layer/dispatch','Rows and weights between ranks.',[('`row_exchange`, `forwarding`','one all-to-all of rows, there and back; the stop at a node of hierarchical dispatch'),
('`replicas`','which replica computes a pair'),('`expert_store`','expert weights of this rank, and their moves between ranks')],'what is computed on the rows.')
r('moe_layer/profiler','Latency of every rank\'s expert phase against load.',[('`profiler`, `expert_bench`','the rounds of readings; one reading'),
('`received_load`','what a rank is given: even loads, and loads as a trace routes them'),
('`load_points`','where a curve is to be measured next, so that lines between its points explain it')],'what a profile says ([placement/speeds/](../../placement/speeds/README.md)).')
p=open('moe_layer/README.md').read()
i=p.index('| file | holds |'); j=p.index('Dispatch sends a token to a rank once')
p=p[:i]+'''| file or folder | holds |
|---|---|
| `layers`, `layer_phases` | a layer's phases in order, and the clock; what each puts on the device |
| `check` | outputs against a plain reference |
| `machine_state` | what Linux says of other work and of its settings |
| [`mpi/`](mpi/README.md) | the only code that sees MPI; clocks, nodes, CPUs of a rank |
| [`model/`](model/README.md) | what a layer is: shape, weights, who goes where |
| [`device/`](device/README.md) | the interface to what computes: opaque buffers, a stream, the phases as calls |
| [`cpu/`](cpu/README.md), [`cuda/`](cuda/README.md) | the CPU and the GPU behind it |
| [`dispatch/`](dispatch/README.md) | rows and weights between ranks |
| [`profiler/`](profiler/README.md) | latency against load |

'''+p[j:]
open('moe_layer/README.md','w').write(p)
r('results/hdf5','The HDF5 C API, and nothing of ours.',[('`hdf5`, `hdf5_dataset`, `hdf5_text`','the only code that sees the HDF5 C API'),
('`output_file`','`PATH.partial`, renamed when whole; refuses existing files, and names that another program owns (`placement/base/output_owner`)'),
('`file_lock`','what keeps readers from a file that is being written; file systems without locks')],'what a file means ([SCHEMA.md](../SCHEMA.md)).')
p=open('results/README.md').read()
i=p.index('| `output_file` |'); j=p.index('No MPI here')
p=p[:i]+'| [`hdf5/`](hdf5/README.md) | the HDF5 C API, files that appear whole or not at all, locks |\n\n'+p[j:]
open('results/README.md','w').write(p)
r('harness/cli','From the command line to values, and back to the terminal.',[('`options`, `option_*`','the options of every command, their groups, values and rules; the only code that sees the option library'),
('`run_length`','how many steps a run measures: exactly so many, or until intervals are narrow enough or its time is over'),
('`placement_names`, `drift_option`','`adapt:gem`, `oracle:gem`; `slow@40`'),('`number_file`','numbers in a text file'),('`version`','versions and the build'),
('`printing`','standard output and error, and what happens when they are full or closed: all that is printed goes through it')],'anything that measures or plans.')
r('harness/statistics','Intervals. Coverage is measured by `tests/bench/coverage.py`.',[('`interval`','paired differences'),('`summary_interval`','what one placement\'s steps tell: means, quantiles, shares')],'what is compared with what ([report/](../report/README.md)).')
r('harness/run','A measured run on its ranks.',[('`session`, `layout`, `devices`','what `run` and `profile` share; shapes and slots; CPU or GPU for this rank'),
('`workload`, `trace_shape`','which steps are planned on, which are measured; slowdowns; the cost model; what a run takes from its trace'),
('`run_plan`, `placement_files`, `profile_source`, `profile_fit`','what a run does before its first step: what can be checked, profile, placements'),
('`turns`, `measure`, `stop_rule`, `progress_lines`','how placements alternate; the loop; when it is enough; what is told meanwhile'),
('`changing_placement`, `adaptation`, `speed_watch`, `injected_drift`','placements that change while they are measured; what is changed on purpose'),
('`resume`, `same_run`, `rows_sent`, `stop`, `continue_command`','going on with an unfinished file; in what runs differ; SIGTERM and time limits; what to type then'),
('`quiet`','how quiet the machine is before, while and after steps are measured'),
('`watchdog`, `collective_errors`','ends a rank that hangs, and says where it was; errors that all ranks throw together'),
('`run_facts`, `sizes`, `memory`, `byte_costs`','what a file says about its run; bytes; what moving them costs'),
('`plan_progress`','how far a long planning is, and its end when a signal or the limit asks for it')],'reducing what was measured ([report/](../report/README.md)).')
r('harness/report','Reducing a results file, and printing it. [OUTPUT.md](../OUTPUT.md) is the contract; `run` prints what `compare` would.',[
('`comparison`, `conclusion`','one row a placement; why measuring ended, and what would decide a difference that is not conclusive'),
('`launches`, `launches_report`','results files that are launches of one configuration, pooled'),
('`report`, `report_table`, `report_data`','the table; CSV and JSON'),('`quiet_report`','the line and the warnings that say how quiet the machine was'),
('`score_report`, `replan_report`','what `plan` and `score` print; a replan\'s swaps'),
('`profile_compare`, `profile_report`','a profile against an older one, and whether a replan pays; what `profile` prints')],'reading options.')
r('harness/commands','One file a subcommand.',[('`commands`','the list'),('`*_command`, `plan_commands`, `token_import`','a subcommand each'),('`dry_run`, `dry_run_alone`','what a run would take, on its ranks or without them')],'what several commands share.')
p=open('harness/README.md').read()
i=p.index('| file |'); j=p.index('A run: rank 0 opens')
p=p[:i]+'''A folder may include those above it, never one below; `main.cpp` on top hands over to a command and turns
errors into exit codes.

| folder | holds |
|---|---|
| [`cli/`](cli/README.md) | from the command line to values, and back to the terminal |
| [`statistics/`](statistics/README.md) | intervals |
| [`run/`](run/README.md) | a measured run on its ranks |
| [`report/`](report/README.md) | reducing a results file, and printing it |
| [`commands/`](commands/README.md) | one file a subcommand |

'''+p[j:]
open('harness/README.md','w').write(p)
# structure rules
p='tests/structure/check_structure.py'; s=open(p).read()
s=s.replace('''# Libraries only one folder may know.
''','''# Folder -> its subfolders, lowest first ("" is the folder itself): each may include those before it.
FLOORS = {
    "placement": ["base", "encodings", "loads", "speeds", "cost", "search", "exchange", "recordings",
                  "strategies"],
    "results": ["hdf5", ""],
    "moe_layer": ["mpi", "model", "device", "cpu", "cuda", "dispatch", "", "profiler"],
    "harness": ["cli", "statistics", "run", "report", "commands", ""],
}
# Libraries only one folder may know.
''').replace('"harness/printing.cpp"','"harness/cli/printing.cpp"').replace('use harness/printing.hpp','use harness/cli/printing.hpp').replace('harness/printing knows','harness/cli/printing knows')
s=s.replace('''def check_first_include(''','''def check_floors(path, relative):
    """No arrow up, so no circle, among the subfolders of a folder."""
    folder = relative.parts[0]
    floors = FLOORS[folder]
    mine = "/".join(relative.parts[1:-1])
    if mine not in floors:
        yield f"{path}: {folder} has the subfolders {', '.join(filter(None, floors))}"
        return
    for included in INCLUDE.findall(path.read_text(errors="replace")):
        target, *rest = included.split("/")
        theirs = "/".join(rest[:-1])
        if target == folder and theirs in floors and floors.index(theirs) > floors.index(mine):
            yield f"{path}: {folder}/{mine} may not include {included}, which lies above it"


def check_first_include(''').replace('''            yield from check_cuda(path, relative)
''','''            yield from check_floors(path, relative)
            yield from check_cuda(path, relative)
''')
s=s.replace('''    for folder in sorted(TOP - {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md"}):
''','''    rooms = [f"{folder}/{room}" for folder, rooms in FLOORS.items() for room in rooms
             if room and (top / folder / room).is_dir()]
    for folder in rooms + sorted(TOP - {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md"}):
''')
open(p,'w').write(s)
p='tests/structure/check_structure_test.py'; s=open(p).read()
s=s.replace('"placement/a.hpp", \'#include "results/x','"placement/base/a.hpp", \'#include "results/x').replace('harness/printing.cpp','harness/cli/printing.cpp').replace('"moe_layer/comm.hpp"','"moe_layer/mpi/comm.hpp"').replace('#include "moe_layer/comm.hpp"','#include "moe_layer/mpi/comm.hpp"')
s=s.replace('''            (self.top / name / "README.md").write_text("here\\n")
''','''            (self.top / name / "README.md").write_text("here\\n")
        for name in ("placement/base", "placement/loads", "harness/cli"):
            (self.top / name).mkdir()
            (self.top / name / "README.md").write_text("here\\n")
''')
s=s.replace('''    def test_mpi_outside''','''    def test_an_arrow_up_or_a_circle_among_subfolders(self):
        self.assertEqual(self.found("placement/loads/a.cpp", '#include "placement/base/b.hpp"\\n'), "")
        self.assertIn("placement/base may not include placement/loads/a.hpp, which lies above it",
                      self.found("placement/base/b.hpp", '#include "placement/loads/a.hpp"\\n'))

    def test_a_file_outside_every_subfolder(self):
        self.assertIn("placement has the subfolders base, ", self.found("placement/a.cpp", ""))

    def test_a_subfolder_without_a_readme(self):
        (self.top / "placement/base/README.md").unlink()
        self.assertIn("base: has no README.md", self.found())

    def test_mpi_outside''')
open(p,'w').write(s)
