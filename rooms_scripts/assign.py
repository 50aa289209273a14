import os,re,sys,collections
ROOT='/work/rooms'
A={}
def put(folder, names, top):
    for n in names.split():
        a,_,b=n.partition('=')
        A[f'{top}/{a}']=f'{top}/{folder}/{b or a.split("/")[-1]}'.replace('//','/')
# stems (without extension); placement
put('base','checked=checked_sizes error input_file output_owner parallel random whole_file plan_watch','placement')
put('loads','draws synthetic synthetic_bursty synthetic_expansion=multinomial_steps synthetic_presets synthetic_serving trace trace_info planned_steps','placement')
put('speeds','builtin_latencies builtin_profiles builtin_slowdowns profile profile_samples profile_verdict profile_dents','placement')
put('cost','bound expert_sums node_targets node_traffic objective placement placement_file score token_split water_fill cost_choice','placement')
put('search','gem_search=local_search pair_view search_costs search_kernels swap_search=swap_descent swap_state','placement')
put('strategies','ablation branch_and_bound eplb exact flashlb gem gem_plus gem_plus_cv layer_cut node_settling plan_layers relabel replan replicas strategy vibe slot_count','placement')
put('encodings',' '.join('containers/'+x for x in 'base64 bounded_json byte_stream elements inflater npy pickle random_access safetensors table_reader torch_file yaml_events'.split()),'placement')
# moe_layer
put('cpu','cpu_device=device cpu_experts=experts cpu_gemm=gemm cpu_packing=packing cpu_routing=routing cpu_state=state cpu_chunks=chunks cpu_feed_forward=feed_forward cpu_memory=memory cpu_tuning=tuning row_math noise_probe','moe_layer')
put('device','buffer device device_calls cuda_plugin','moe_layer')
put('dispatch','expert_store forwarding leg=row_exchange replicas','moe_layer')
put('model','model=shape routing weights received_load','moe_layer')
put('mpi','clock clock_offset comm progress topology rank_place','moe_layer')
put('profiler','expert_bench knot_search=load_points profiler','moe_layer')
put('','check layers layer_phases machine_state','moe_layer')
# results
put('hdf5','hdf5 hdf5_dataset hdf5_detail hdf5_text output_file file_lock','results')
# harness
put('cli','options option_builder option_groups option_rules option_values number_file version','harness')
put('commands','commands compare_command convert_command dry_run dry_run_alone list_command plan_commands profile_command run_command token_import trace_command trace_import_command continue_command','harness')
put('report','comparison interval summary_interval launches launches_report conclusion profile_compare profile_report quiet_report replan_report report report_data report_table score_report','harness')
put('cli','printing','harness')
put('run','adaptation agreement=collective_errors byte_costs devices drift=injected_drift layout live_placement=changing_placement measure memory placement_files plan_progress profile_fit profile_source progress_lines quiet resume rows_sent run_facts run_length run_plan same_run session sizes speed_watch stop stop_rule trace_shape turns watchdog workload','harness')
def stem(p): return re.sub(r'\.(cpp|hpp|cu)$','',p)
def new(p):
    m=re.search(r'\.(cpp|hpp|cu)$',p)
    return A[stem(p)]+m.group(0) if stem(p) in A else p
if __name__=='__main__':
    files=[l.strip() for l in os.popen(f'cd {ROOT} && git ls-files placement moe_layer results harness') if re.search(r'\.(cpp|hpp|cu)$',l.strip())]
    un=[f for f in files if stem(f) not in A and f.count('/')==1]
    print('unassigned',un)
    arrows=collections.defaultdict(set)
    for f in files:
        nf=new(f); fo=os.path.dirname(nf)
        for inc in re.findall(r'#include "([^"]+)"',open(f'{ROOT}/{f}').read()):
            if not os.path.exists(f'{ROOT}/{inc}'): continue
            to=os.path.dirname(new(inc))
            if to!=fo: arrows[(fo,to)].add((nf,new(inc)))
    g=collections.defaultdict(set)
    for a,b in arrows: g[a].add(b)
    # circles
    def reach(a):
        seen=set();st=[a]
        while st:
            x=st.pop()
            for y in g[x]:
                if y not in seen: seen.add(y); st.append(y)
        return seen
    R={a:reach(a) for a in list(g)}
    for a,b in sorted(arrows):
        if a in R.get(b,()): print('CIRCLE',a,'->',b,len(arrows[(a,b)]), sorted(arrows[(a,b)])[:6])
