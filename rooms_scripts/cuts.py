import os,re,subprocess,sys
os.chdir('/work/rooms')
def rd(p): return open(p).read()
def wr(p,s):
    os.makedirs(os.path.dirname(p),exist_ok=True); open(p,'w').write(s)
def cut(s,a,b):
    i=s.index(a); j=s.index(b,i); return s[:i]+s[j:], s[i:j]
HEAD='#pragma once\n\n'
# 1 statistics
s=rd('placement/cost/score.cpp'); s,body=cut(s,'double imbalance(','namespace {\n\n/// What one step loses')
s=s.replace('#include "placement/base/parallel.hpp"\n','#include "placement/base/parallel.hpp"\n#include "placement/base/statistics.hpp"\n')
wr('placement/cost/score.cpp',s)
wr('placement/base/statistics.cpp','#include "placement/base/statistics.hpp"\n\n#include <algorithm>\n#include <cmath>\n#include <limits>\n#include <numeric>\n\nnamespace gembench {\n\n'+body+'}  // namespace gembench\n')
s=rd('placement/cost/score.hpp'); s,body=cut(s,'/// Max over mean; 1 when','}  // namespace gembench')
wr('placement/cost/score.hpp',s)
wr('placement/base/statistics.hpp',HEAD+'#include <cstdint>\n#include <vector>\n\nnamespace gembench {\n\n'+body+'}  // namespace gembench\n')
files=[f for f in subprocess.run(['git','ls-files','-co','--exclude-standard'],capture_output=True,text=True).stdout.split() if re.search(r'\.(cpp|hpp|cu)$',f)]
for f in files:
    s=rd(f)
    if re.search(r'\b(quantile|imbalance)\(',s) and 'base/statistics.hpp' not in s and f!='placement/cost/score.cpp':
        incs=list(re.finditer(r'#include "[^"]+"\n',s))
        if not incs: print('NO INCS',f); continue
        at=incs[-1].end(); s=s[:at]+'#include "placement/base/statistics.hpp"\n'+s[at:]
        wr(f,s); print('stat',f)
# speeds no longer need score
for f in ['placement/speeds/profile_samples.cpp','placement/speeds/profile_verdict.cpp']:
    s=rd(f).replace('#include "placement/cost/score.hpp"\n',''); wr(f,s)
# 2
s=rd('placement/cost/node_traffic.hpp').replace('#include "placement/search/search_kernels.hpp"\n',''); wr('placement/cost/node_traffic.hpp',s)
# 3 drift
h=rd('harness/run/injected_drift.hpp'); c=rd('harness/run/injected_drift.cpp')
h2,decl=cut(h,'/// Something that changes while','/// The slowdown of every rank at')
wr('harness/cli/drift_option.hpp',HEAD+'#include <string>\n#include <vector>\n\nnamespace gembench {\n\n'+decl+'}  // namespace gembench\n')
h2=h2.replace('#include <cstdint>\n#include <string>\n#include <vector>\n','#include <cstdint>\n#include <vector>\n').replace('#include "placement/','#include "harness/cli/drift_option.hpp"\n#include "placement/',1)
wr('harness/run/injected_drift.hpp',h2)
c2,body=cut(c,'std::vector<Drift> parse_drift(','std::vector<double> slowdown_at(')
c2=c2.replace('#include "harness/cli/option_values.hpp"\n','').replace('#include "placement/base/error.hpp"\n','').replace('#include <fmt/format.h>\n#include <fmt/ranges.h>\n\n','')
wr('harness/run/injected_drift.cpp',c2)
wr('harness/cli/drift_option.cpp','#include "harness/cli/drift_option.hpp"\n\n#include <fmt/format.h>\n#include <fmt/ranges.h>\n\n#include "harness/cli/option_values.hpp"\n#include "placement/base/error.hpp"\n\nnamespace gembench {\n\n'+body+'}  // namespace gembench\n')
# 4 live_name
h=rd('harness/run/changing_placement.hpp'); h2,decl=cut(h,'/// "adapt:gem" begins','/// The placement in force')
wr('harness/run/changing_placement.hpp',h2.replace('#include <string>\n',''))
wr('harness/cli/placement_names.hpp',HEAD+'#include <string>\n\nnamespace gembench {\n\n'+decl+'}  // namespace gembench\n')
c=rd('harness/run/changing_placement.cpp'); c2,body=cut(c,'LiveName live_name(','const Placement& in_force(')
wr('harness/run/changing_placement.cpp',c2.replace('#include <string_view>\n\n',''))
wr('harness/cli/placement_names.cpp','#include "harness/cli/placement_names.hpp"\n\n#include <string_view>\n\nnamespace gembench {\n\n'+body+'}  // namespace gembench\n')
for f in files:
    if not os.path.exists(f): continue
    s=rd(f)
    if re.search(r'\blive_name\(|\bLiveName\b',s) and 'placement_names.hpp' not in s:
        if '#include "harness/run/changing_placement.hpp"\n' in s:
            uses=re.search(r'\bLivePlacement\b|\bin_force\(',s)
            s=s.replace('#include "harness/run/changing_placement.hpp"\n','#include "harness/cli/placement_names.hpp"\n'+('#include "harness/run/changing_placement.hpp"\n' if uses else ''))
        else:
            incs=list(re.finditer(r'#include "[^"]+"\n',s)); at=incs[-1].end(); s=s[:at]+'#include "harness/cli/placement_names.hpp"\n'+s[at:]
        wr(f,s); print('live',f)
# 5 kBuiltin
h=rd('harness/run/profile_source.hpp'); h2,decl=cut(h,'/// What names something built in','/// The profile that --profile names')
wr('harness/run/profile_source.hpp',h2.replace('#include <string_view>\n',''))
h=rd('harness/cli/option_values.hpp')
i=h.index('namespace gembench {\n\n')+len('namespace gembench {\n\n')
h=h[:i]+decl+h[i:]
if '<string_view>' not in h: h=h.replace('#include <string>\n','#include <string>\n#include <string_view>\n')
wr('harness/cli/option_values.hpp',h)
for f in ['harness/cli/option_rules.cpp','harness/run/workload.cpp','harness/run/profile_source.cpp','harness/commands/dry_run_alone.cpp']:
    s=rd(f)
    if 'option_values.hpp' not in s:
        incs=list(re.finditer(r'#include "harness[^"]+"\n',s)); at=incs[-1].end(); s=s[:at]+'#include "harness/cli/option_values.hpp"\n'+s[at:]
    if f=='harness/cli/option_rules.cpp':
        s=s.replace('#include "harness/run/profile_source.hpp"\n','').replace('#include "harness/run/injected_drift.hpp"\n','#include "harness/cli/drift_option.hpp"\n')
    wr(f,s)
# 6 PlainExpert
h=rd('moe_layer/device/device_calls.hpp'); h2,decl=cut(h,'/// Untyped plain weights of one','/// route: RMSNorm')
wr('moe_layer/device/device_calls.hpp',h2)
w=rd('moe_layer/model/weights.hpp').replace('#include "moe_layer/device/device.hpp"\n','')
i=w.index('/// Expert `expert` of weight layer'); w=w[:i]+decl+w[i:]
if '<vector>' not in w: w=w.replace('#include <span>\n','#include <span>\n#include <vector>\n')
wr('moe_layer/model/weights.hpp',w)
d=rd('moe_layer/device/device.hpp')
d=d.replace('#include "moe_layer/model/shape.hpp"\n','#include "moe_layer/model/shape.hpp"\n#include "moe_layer/model/weights.hpp"\n'); wr('moe_layer/device/device.hpp',d)
# 7 StopRule
h=rd('harness/run/stop_rule.hpp'); h2,decl=cut(h,'/// When a run has measured enough.','/// Whether intervals are looked at')
h2=h2.replace('#include "results/run_file.hpp"\n','#include "harness/cli/run_length.hpp"\n#include "results/run_file.hpp"\n')
wr('harness/run/stop_rule.hpp',h2)
r=rd('harness/cli/run_length.hpp').replace('#include "harness/run/stop_rule.hpp"\n','')
i=r.index('// How long a run measures'); r=r[:i]+decl+r[i:]
wr('harness/cli/run_length.hpp',r)
# CMake globs
for f,a,b in [('placement/CMakeLists.txt','file(GLOB placement_sources CONFIGURE_DEPENDS *.cpp containers/*.cpp recordings/*.cpp\n     exchange/*.cpp)','file(GLOB placement_sources CONFIGURE_DEPENDS */*.cpp)'),
 ('placement/CMakeLists.txt','/(containers|recordings|exchange)/|/(trace|placement|placement_file|planned_steps|input_file|whole_file|output_owner)\\\\.cpp$','/(encodings|recordings|exchange|base)/|/(trace|placement|placement_file|planned_steps)\\\\.cpp$'),
 ('moe_layer/CMakeLists.txt','CONFIGURE_DEPENDS *.cpp)','CONFIGURE_DEPENDS *.cpp cpu/*.cpp device/*.cpp dispatch/*.cpp model/*.cpp mpi/*.cpp profiler/*.cpp)'),
 ('results/CMakeLists.txt','CONFIGURE_DEPENDS *.cpp)','CONFIGURE_DEPENDS *.cpp hdf5/*.cpp)'),
 ('harness/CMakeLists.txt','file(GLOB harness_sources CONFIGURE_DEPENDS *.cpp)\nlist(REMOVE_ITEM harness_sources ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)','file(GLOB harness_sources CONFIGURE_DEPENDS */*.cpp)'),
 ('harness/CMakeLists.txt','  version.cpp PROPERTIES','  cli/version.cpp PROPERTIES')]:
    s=rd(f); assert a in s,(f,a); wr(f,s.replace(a,b))
# 8 node settling
h=rd('placement/cost/node_traffic.hpp'); h2,decl=cut(h,'/// Exchanges experts of a placement while','}  // namespace gembench')
h2=h2.replace('struct PlanInput;\n\n','')
wr('placement/cost/node_traffic.hpp',h2)
wr('placement/strategies/node_settling.hpp',HEAD+'#include "placement/cost/placement.hpp"\n#include "placement/search/search_kernels.hpp"\n\nnamespace gembench {\n\nstruct PlanInput;\n\n'+decl+'}  // namespace gembench\n')
c=rd('placement/strategies/node_settling.cpp'); wr('placement/strategies/node_settling.cpp','#include "placement/strategies/node_settling.hpp"\n\n'+c)
for f in ('gem_plus','gem_plus_cv'):
    p=f'placement/strategies/{f}.cpp'; s=rd(p); i=list(re.finditer(r'#include "[^"]+"\n',s))[-1].end(); wr(p,s[:i]+'#include "placement/strategies/node_settling.hpp"\n'+s[i:])
