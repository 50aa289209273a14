import os,re,glob,subprocess
os.chdir('/work/rooms')
OVER={'cpu_memory':'cpu','exchange_hostile':'exchange','exchange':'exchange','shared_data':'recordings','strategies':'strategies','search':'search','facts':'speeds','active':'speeds','cost':'speeds',
 'barrier_skew':'cpu','hierarchical':'.','uneven':'.','agreement':'run','layers':'.','machine_state':'.','cpu_chunks':'cpu','cpu_device':'cpu','cpu_feed_forward':'cpu','cpu_gemm':'cpu','cpu_state':'cpu','knot_search':'profiler','model':'model','live_placement':'run'}
REN={'cpu_memory':'memory','cpu_chunks':'chunks','cpu_device':'device','cpu_feed_forward':'feed_forward','cpu_gemm':'gemm','cpu_state':'state','knot_search':'load_points','model':'shape','agreement':'collective_errors','expansion':'multinomial_steps'}
moves={}
for top in ('placement','moe_layer','harness'):
    fs=glob.glob(f'tests/{top}/*test*.cpp')+(glob.glob('tests/placement/recordings/test_*.cpp') if top=='placement' else [])
    for f in sorted(fs):
        b=os.path.basename(f)
        name=b[5:-4] if b.startswith('test_') else b[:-9]
        src=open(f).read()
        if '/recordings/' in f: room='recordings'
        elif name in OVER: room=OVER[name]
        else:
            hits=glob.glob(f'{top}/*/{name}.hpp')
            room=hits[0].split('/')[1] if hits else (re.findall(rf'#include "{top}/(\w+)/',src) or ['.'])[0]
        new=os.path.normpath(f'tests/{top}/{room}/{REN.get(name,name)}_test.cpp')
        if new!=f: moves[f]=new
for a,b in moves.items():
    os.makedirs(os.path.dirname(b),exist_ok=True); subprocess.run(['git','mv',a,b],check=True)
# local includes -> from the top
local={}
for f in subprocess.run(['git','ls-files','tests'],capture_output=True,text=True).stdout.split():
    if not re.search(r'\.(cpp|hpp)$',f): continue
    s=open(f).read()
    old=next((a for a,b in moves.items() if b==f),f)
    def fix(m):
        n=m.group(1)
        if '/' in n: return m.group(0)
        for d in (os.path.dirname(old),'tests/placement'):
            if os.path.exists(f'{d}/{n}'): return f'#include "{d}/{n}"'
        return m.group(0)
    t=re.sub(r'#include "([^"]+)"',fix,s)
    if t!=s: open(f,'w').write(t)
# CMake
p='tests/placement/CMakeLists.txt'; s=open(p).read()
a=s.index('foreach(part'); b=s.index('# Prints times and gaps')
s=s[:a]+'''find_package(PkgConfig REQUIRED)
find_package(LibArchive 3.6 REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)

# A file a test, in the folder of what it tests: loads/trace_test.cpp is placement.loads.trace.
file(GLOB tests RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} CONFIGURE_DEPENDS */*_test.cpp)
foreach(test ${tests})
  string(REGEX REPLACE "/(.*)_test\\\\.cpp$" ".\\\\1" name ${test})
  gembench_add_test(NAME placement.${name} SOURCES ${test}
                    LIBS gembench::placement nlohmann_json::nlohmann_json fmt::fmt PkgConfig::LIBZIP
                         LibArchive::LibArchive ZLIB::ZLIB)
endforeach()

'''+s[b:]
open(p,'w').write(s)
subprocess.run(['git','rm','-qf','tests/placement/recordings/CMakeLists.txt'])
for top in ('moe_layer','harness'):
    p=f'tests/{top}/CMakeLists.txt'; s=open(p).read()
    for a,b in moves.items():
        if a.startswith(f'tests/{top}/'):
            s=re.sub(r'(?<![\w/])'+re.escape(os.path.basename(a)),b[len(f'tests/{top}/'):],s)
    open(p,'w').write(s)
print(len(moves))
