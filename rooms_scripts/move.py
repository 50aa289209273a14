import os,re,subprocess,sys
sys.path.insert(0,'/tmp/rooms')
import assign
from assign import A,ROOT,new,stem,put
os.chdir(ROOT)
# corrections
def re_put(folder,names,top):
    put(folder,names,top)
re_put('run','continue_command','harness')
re_put('cli','run_length','harness')
re_put('statistics','interval summary_interval','harness')
re_put('profiler','received_load','moe_layer')
tracked=subprocess.run(['git','ls-files'],capture_output=True,text=True).stdout.split()
moves={f:new(f) for f in tracked if re.search(r'\.(cpp|hpp|cu)$',f) and new(f)!=f}
for f in tracked:
    if f=='placement/containers/README.md': moves[f]='placement/encodings/README.md'
for a,b in moves.items():
    os.makedirs(os.path.dirname(b),exist_ok=True)
    subprocess.run(['git','mv',a,b],check=True)
files=subprocess.run(['git','ls-files'],capture_output=True,text=True).stdout.split()
pat=re.compile(r'(?<![\w/])((?:placement|harness|moe_layer|results)/[\w/]+\.(?:cpp|hpp|cu))(?!\w)')
for f in files:
    if re.search(r'\.(cpp|hpp|cu|md|py|txt|cmake|sh|in)$',f) and 'structure/' not in f:
        s=open(f).read()
        t=pat.sub(lambda m: moves.get(m.group(1),m.group(1)),s)
        if t!=s: open(f,'w').write(t)
# sz
sz=re.compile(r'(?:/// [^\n]*\n)?(?:constexpr |inline )?std::size_t sz\(std::int64_t value\) \{\n  return static_cast<std::size_t>\(value\);\n\}\n\n?')
n=0
for f in files:
    if re.search(r'\.(cpp|hpp|cu)$',f):
        s=open(f).read()
        t,k=sz.subn('',s)
        if k:
            n+=k
            t=re.sub(r'namespace \{\n\n\}  // namespace\n\n?','',t)
            # add include after the last project include or first include block
            incs=list(re.finditer(r'#include "[^"]+"\n',t))
            own=os.path.splitext(f)[0]+'.hpp'
            at=None
            if any(m.group(0)!=f'#include "{own}"\n' for m in incs):
                at=incs[-1].end()
                t=t[:at]+'#include "placement/base/index.hpp"\n'+t[at:]
            else:
                last=list(re.finditer(r'#include <[^>]+>\n',t))
                at=last[-1].end() if last else incs[-1].end()
                t=t[:at]+'\n#include "placement/base/index.hpp"\n'+t[at:]
            open(f,'w').write(t)
print('moved',len(moves),'sz',n)
open('placement/base/index.hpp','w').write('''#pragma once

#include <cstddef>
#include <cstdint>

namespace gembench {

/// A count or index, known not to be negative, as the size that containers take.
[[nodiscard]] constexpr std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace gembench
''')
