import os,re,collections
os.chdir('/work/rooms')
FL={'placement':'base encodings loads speeds cost search strategies recordings exchange'.split(),
'moe_layer':['mpi','model','device','cpu','cuda','dispatch','profiler',''],
'results':['hdf5',''],'harness':['cli','statistics','run','report','commands','']}
for top,order in FL.items():
    g=collections.defaultdict(set)
    for d,_,fs in os.walk(top):
        for f in fs:
            if not re.search(r'\.(cpp|hpp|cu)$',f): continue
            p=os.path.join(d,f); a=os.path.relpath(d,top); a='' if a=='.' else a
            for inc in re.findall(r'#include "([^"]+)"',open(p).read()):
                if not inc.startswith(top+'/'): continue
                if not os.path.exists(inc): print('MISSING',p,inc); continue
                b=os.path.dirname(inc)[len(top):].strip('/')
                if a!=b:
                    g[(a,b)].add((p,inc))
    for (a,b),w in sorted(g.items()):
        up = order.index(b)>order.index(a)
        print(top,a or '.','->',b or '.',len(w),'UP '+str(sorted(w)[:5]) if up else '')
