// Graphs: how they run, what counts, and updates.

#include <cublas_v2.h>

#include "tests/cuda_simulation/graph_for_tests.hpp"

namespace gembench::simulation {
namespace {

class Graphs : public GraphTest {};
using GraphsDeathTest = Graphs;

__global__ void note_kernel(int* list, int* length, int value) {
  list[atomicAdd(length, 1)] = value;
}

TEST_F(Graphs, a_capture_runs_nothing_and_a_launch_runs_it_with_the_arguments_of_the_capture) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> value(std::vector<int>{0}), copy(1);
    int argument = 7;
    auto* graph = capture([&] {
      EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), argument));
      EXPECT_CUDA(cudaMemcpyAsync(copy.get(), value.get(), 4, cudaMemcpyDeviceToDevice, a_.stream));
    });
    argument = 8;
    EXPECT_EQ(value.read()[0], 0);
    const Executable executable(graph);
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, b_.stream));  // after the first, on any stream
    EXPECT_CUDA(cudaStreamSynchronize(b_.stream));
    EXPECT_EQ(copy.read()[0], 14) << order;
  }
}

/// Two forks, one after another, launched twice: the second launch begins when the first has ended.
TEST_F(Graphs, independent_nodes_run_in_different_orders_and_dependent_ones_do_not) {
  std::set<std::vector<int>> sequences;
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> list(12), length(std::vector<int>{0});
    const auto append = [&](cudaStream_t stream, int value) {
      EXPECT_CUDA(launch(stream, 1, 1, 0, note_kernel, list.get(), length.get(), value));
    };
    const Executable executable(capture([&] {
      for (const int first : {0, 10}) {
        append(a_.stream, first);
        EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
        EXPECT_CUDA(cudaStreamWaitEvent(b_.stream, forked_.event));
        append(b_.stream, first + 1);
        append(a_.stream, first + 2);
        EXPECT_CUDA(cudaEventRecord(joined_.event, b_.stream));
        EXPECT_CUDA(cudaStreamWaitEvent(a_.stream, joined_.event));
      }
    }));
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, c_.stream));
    EXPECT_CUDA(cudaStreamSynchronize(c_.stream));
    const auto both = list.read();
    sequences.insert(both);
    for (const auto begin : {both.begin(), both.begin() + 6}) {
      std::vector<int> ran(begin, begin + 6);
      EXPECT_EQ(ran[0], 0) << order;
      EXPECT_EQ(ran[3], 10) << order;
      std::sort(ran.begin(), ran.end());
      EXPECT_EQ(ran, (std::vector<int>{0, 1, 2, 10, 11, 12})) << order;
    }
  }
  EXPECT_GT(sequences.size(), 1U);
}

/// A diamond: a sets, b and c read and write, a reads both. Without the edges it goes wrong.
int diamond(cudaStream_t a, cudaStream_t b, cudaStream_t c, bool ordered) {
  const Values<int> in(1), left(1), right(1), out(1);
  const TestEvent begin, left_done, right_done, set;
  cudaGraph_t graph = nullptr;
  EXPECT_CUDA(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal));
  EXPECT_CUDA(cudaEventRecord(begin.event, a));
  EXPECT_CUDA(launch(a, 1, 1, 0, set_value, in.get(), 1));
  EXPECT_CUDA(cudaEventRecord(set.event, a));
  for (const cudaStream_t stream : {b, c}) {
    EXPECT_CUDA(cudaStreamWaitEvent(stream, ordered ? set.event : begin.event));
  }
  EXPECT_CUDA(launch(b, 1, 1, 0, add_value, left.get(), in.get(), 10));
  EXPECT_CUDA(launch(c, 1, 1, 0, add_value, right.get(), in.get(), 100));
  EXPECT_CUDA(cudaEventRecord(left_done.event, b));
  EXPECT_CUDA(cudaEventRecord(right_done.event, c));
  EXPECT_CUDA(cudaStreamWaitEvent(a, right_done.event));
  EXPECT_CUDA(launch(a, 1, 1, 0, add_value, out.get(), right.get(), 0));
  EXPECT_CUDA(cudaStreamWaitEvent(a, left_done.event));
  EXPECT_CUDA(launch(a, 1, 1, 0, add_value, out.get(), left.get(), 0));
  EXPECT_CUDA(cudaStreamEndCapture(a, &graph));
  const Executable executable(graph);
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a));
  EXPECT_CUDA(cudaStreamSynchronize(a));
  return left.read()[0] + right.read()[0] + out.read()[0];
}

TEST_F(Graphs, a_fork_keeps_its_order_and_a_missing_dependency_shows_in_some_order) {
  constexpr int kRight = 11 + 101 + 11;
  int wrong = 0;
  for (const auto& order : kOrders) {
    set("ORDER", order);
    EXPECT_EQ(diamond(a_.stream, b_.stream, c_.stream, true), kRight) << order;
    wrong += diamond(a_.stream, b_.stream, c_.stream, false) != kRight ? 1 : 0;
  }
  EXPECT_GT(wrong, 0);
}

TEST_F(Graphs, a_launch_runs_after_the_work_before_it_and_before_the_work_after_it) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> value(1), sum(1), after(1);
    const Executable executable(
        capture([&] { EXPECT_CUDA(add_on(a_.stream, sum.get(), value.get(), 1)); }));
    for (int i = 0; i < 3; ++i) {
      EXPECT_CUDA(set_on(b_.stream, value.get(), 10 * i));
      EXPECT_CUDA(cudaGraphLaunch(executable.graph, b_.stream));
      EXPECT_CUDA(add_on(b_.stream, after.get(), sum.get(), 0));
    }
    EXPECT_CUDA(cudaStreamSynchronize(b_.stream));
    EXPECT_EQ(after.read()[0], 21) << order;
  }
}

TEST_F(Graphs, counters_tell_captured_launched_and_run_work_apart) {
  const Values<int> value(1);
  Values<int> pinned(1, true);
  gembench_simulation_reset_counters();
  auto* graph = capture([&] {
    EXPECT_CUDA(cudaMemsetAsync(value.get(), 0, 4, a_.stream));
    EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), 1));
    EXPECT_CUDA(add_on(a_.stream, value.get(), value.get(), 1));
    EXPECT_CUDA(cudaMemcpyAsync(pinned.get(), value.get(), 4, cudaMemcpyDeviceToHost, a_.stream));
    EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
  });
  std::size_t count = 0;
  EXPECT_CUDA(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  EXPECT_CUDA(cudaGraphGetNodes(graph, nodes.data(), &count));
  std::vector<cudaGraphNodeType> types(count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_CUDA(cudaGraphNodeGetType(nodes[i], &types[i]));
  }
  EXPECT_EQ(types,
            (std::vector<cudaGraphNodeType>{cudaGraphNodeTypeMemset, cudaGraphNodeTypeKernel,
                                            cudaGraphNodeTypeKernel, cudaGraphNodeTypeMemcpy}));
  const Executable executable(graph);
  const auto& counted = counters();
  EXPECT_EQ(counted.captured_calls, 5);
  EXPECT_EQ(counted.graph_kernels, 0);
  EXPECT_EQ(counted.first_uses, 1);  // of the kernel
  EXPECT_CUDA(cudaGraphUpload(executable.graph, a_.stream));
  EXPECT_EQ(counted.first_uses, 2);  // of the graph, which the launch need not send any more
  for (int i = 0; i < 2; ++i) EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(pinned[0], 2);
  EXPECT_EQ(counted.first_uses, 2);
  EXPECT_EQ(counted.graph_instantiations, 1);
  EXPECT_EQ(counted.graph_launches, 2);
  EXPECT_EQ(counted.graph_kernels, 4);
  EXPECT_EQ(counted.graph_sets, 2);
  EXPECT_EQ(counted.graph_copies, 2);
  EXPECT_EQ(counted.copied_bytes, 8);
  EXPECT_EQ(counted.launches + counted.copies + counted.sets + counted.event_records, 0);
}

TEST_F(Graphs, an_update_takes_new_arguments_and_refuses_another_shape) {
  const Values<int> value(1);
  Values<int> pinned(1, true);
  const auto one = [&](int x) {
    return capture([&, x] { EXPECT_CUDA(set_on(a_.stream, value.get(), x)); });
  };
  const Executable executable(one(1));
  const auto update = [&](cudaGraph_t graph) {
    cudaGraphExecUpdateResultInfo info{};
    const auto error = cudaGraphExecUpdate(executable.graph, graph, &info);
    EXPECT_EQ(error, info.result == cudaGraphExecUpdateSuccess ? cudaSuccess
                                                               : cudaErrorGraphExecUpdateFailure);
    EXPECT_CUDA(cudaGraphDestroy(graph));
    return info.result;
  };
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));  // with the old argument
  EXPECT_EQ(update(one(2)), cudaGraphExecUpdateSuccess);
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(value.read()[0], 1);
  EXPECT_EQ(update(capture([&] {
              EXPECT_CUDA(set_on(a_.stream, value.get(), 3));
              EXPECT_CUDA(set_on(a_.stream, value.get(), 4));
            })),
            cudaGraphExecUpdateErrorTopologyChanged);
  EXPECT_EQ(update(capture([&] { EXPECT_CUDA(cudaMemsetAsync(value.get(), 0, 4, a_.stream)); })),
            cudaGraphExecUpdateErrorNodeTypeChanged);
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(value.read()[0], 2);
  EXPECT_EQ(counters().graph_updates, 1);
}

TEST_F(Graphs, products_take_scales_at_the_capture_and_addresses_at_the_launch) {
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const Values<float> x(std::vector<float>{2}), y(std::vector<float>{3}), z(std::vector<float>{5}),
      out(1);
  const Values<char> workspace(1024);
  const Values<const void*> from(std::vector<const void*>{x.get()}),
      to(std::vector<const void*>{y.get()});
  const Values<void*> results(std::vector<void*>{out.get()});
  float alpha = 10, beta = 0;
  const auto multiply = [&] {
    const auto op = CUBLAS_OP_N;
    const int one = 1;
    EXPECT_EQ(
        cublasGemmGroupedBatchedEx(handle, &op, &op, &one, &one, &one, &alpha, from.get(),
                                   CUDA_R_32F, &one, to.get(), CUDA_R_32F, &one, &beta,
                                   results.get(), CUDA_R_32F, &one, 1, &one, CUBLAS_COMPUTE_32F),
        CUBLAS_STATUS_SUCCESS);
  };
  EXPECT_EQ(cublasSetStream(handle, a_.stream), CUBLAS_STATUS_SUCCESS);
  EXPECT_CUDA(cudaGraphDestroy(capture(multiply)));
  EXPECT_EQ(counters().graph_allocations, 1);  // of the pool's memory: bad for a measured step
  EXPECT_EQ(cublasSetWorkspace(handle, workspace.get(), 1024), CUBLAS_STATUS_SUCCESS);
  const Executable executable(capture(multiply));
  EXPECT_EQ(counters().graph_allocations, 1);
  alpha = 100;
  const void* other = z.get();
  EXPECT_CUDA(cudaMemcpy(to.get(), &other, sizeof(other), cudaMemcpyHostToDevice));
  EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
  EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
  EXPECT_EQ(out.read()[0], 100.0F);
  EXPECT_EQ(counters().graph_products, 1);
  EXPECT_EQ(counters().gemm_calls, 0);
  EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

/// Captured on two streams that nothing orders; products of one stream are ordered.
TEST_F(GraphsDeathTest, one_workspace_is_not_for_products_that_may_run_at_once) {
  cublasHandle_t handle = nullptr;
  ASSERT_EQ(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
  const Values<float> x(std::vector<float>{2}), out(1);
  const Values<char> workspace(1024);
  const float one = 1, zero = 0;
  const auto multiply_on = [&](cudaStream_t stream) {
    EXPECT_EQ(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetWorkspace(handle, workspace.get(), 1024), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, x.get(), CUDA_R_32F, 1,
                           x.get(), CUDA_R_32F, 1, &zero, out.get(), CUDA_R_32F, 1,
                           CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
  };
  const auto two = [&](bool ordered) {
    return capture([&] {
      if (ordered) multiply_on(a_.stream);
      EXPECT_CUDA(cudaEventRecord(forked_.event, a_.stream));
      EXPECT_CUDA(cudaStreamWaitEvent(b_.stream, forked_.event));
      multiply_on(b_.stream);
      if (!ordered) multiply_on(a_.stream);
      EXPECT_CUDA(cudaEventRecord(joined_.event, b_.stream));
      EXPECT_CUDA(cudaStreamWaitEvent(a_.stream, joined_.event));
    });
  };
  const Executable ordered(two(true));
  auto* const at_once = two(false);
  cudaGraphExec_t executable = nullptr;
  EXPECT_DEATH(cudaGraphInstantiate(&executable, at_once, 0), "use one workspace");
  EXPECT_CUDA(cudaGraphDestroy(at_once));
  EXPECT_EQ(cublasDestroy(handle), CUBLAS_STATUS_SUCCESS);
}

TEST_F(Graphs, wrong_handles_flags_and_planted_faults_are_errors) {
  cudaGraphExec_t executable = nullptr;
  EXPECT_EQ(cudaGraphInstantiate(&executable, nullptr, 0), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphLaunch(executable, a_.stream), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGraphDestroy(nullptr), cudaErrorInvalidValue);
  auto* graph = capture([] {});
  EXPECT_EQ(cudaGraphInstantiate(&executable, graph, cudaGraphInstantiateFlagDeviceLaunch),
            cudaErrorInvalidValue);
  const Executable empty(graph);
  EXPECT_CUDA(cudaGraphLaunch(empty.graph, a_.stream));
  EXPECT_EQ(
      during(cudaStreamCaptureModeRelaxed, [&] { return cudaGraphLaunch(empty.graph, a_.stream); }),
      Errors(cudaErrorStreamCaptureUnsupported, cudaErrorStreamCaptureInvalidated));
  set("FAULT", "cudaGraphLaunch:2:999,cudaStreamEndCapture:1:901");
  EXPECT_CUDA(cudaGraphLaunch(empty.graph, a_.stream));
  EXPECT_EQ(cudaGraphLaunch(empty.graph, a_.stream), cudaErrorUnknown);
  EXPECT_CUDA(cudaStreamBeginCapture(a_.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaStreamEndCapture(a_.stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  EXPECT_CUDA(cudaStreamEndCapture(a_.stream, &graph));
  EXPECT_CUDA(cudaGraphDestroy(graph));
}

}  // namespace
}  // namespace gembench::simulation
