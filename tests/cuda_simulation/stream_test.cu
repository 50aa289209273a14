// Streams and events: deferred work, and what every order brings to light.

#include <cmath>
#include <map>

#include "tests/cuda_simulation/launch_for_tests.hpp"
#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

class Streams : public SimulationTest {};

__global__ void append_kernel(int* list, int* length, int value) {
  list[atomicAdd(length, 1)] = value;
}
__global__ void set_kernel(int* to, int value) {
  *to = value;
}
__global__ void copy_kernel(int* to, const int* from) {
  *to = *from;
}

/// Three streams of three kernels each; the second is waited for. In what order they ran by then.
std::vector<int> sequence() {
  const Values<int> list(9), length(std::vector<int>{0});
  const TestStream streams[3];
  for (int i = 0; i < 3; ++i) {
    for (int s = 0; s < 3; ++s) {
      EXPECT_CUDA(
          launch(streams[s].stream, 1, 1, 0, append_kernel, list.get(), length.get(), 10 * s + i));
    }
  }
  EXPECT_CUDA(cudaStreamSynchronize(streams[1].stream));
  // A copy would wait, and move the other streams on.
  return {list.get(), list.get() + *length.get()};
}

TEST_F(Streams, every_order_is_another_one_and_keeps_the_order_of_a_stream) {
  std::map<std::string, std::vector<int>> sequences;
  for (const auto& order : kOrders) {
    set("ORDER", order);
    sequences[order] = sequence();
    for (int s = 0; s < 3; ++s) {
      int next = 10 * s;
      for (const int value : sequences[order]) {
        if (value / 10 != s) continue;
        EXPECT_EQ(value, next) << order;
        ++next;
      }
      EXPECT_TRUE(s != 1 || next == 13) << order;  // what was waited for is complete
    }
  }
  EXPECT_EQ(sequences["eager"], (std::vector<int>{0, 10, 20, 1, 11, 21, 2, 12, 22}));
  EXPECT_EQ(sequences["late"], (std::vector<int>{10, 11, 12}));
  EXPECT_EQ(sequences["greedy"], (std::vector<int>{0, 1, 2, 20, 21, 22, 10, 11, 12}));
  EXPECT_EQ(sequences["reverse"], (std::vector<int>{20, 21, 22, 10, 11, 12}));
  EXPECT_NE(sequences["random:1"], sequences["random:2"]);
  set("ORDER", "random:1");
  EXPECT_EQ(sequence(), sequences["random:1"]);
}

/// A value goes from one stream to another, is overwritten by the first and read by the second.
std::vector<int> hand_over(bool wait_to_read, bool wait_to_overwrite) {
  const Values<int> shared(1), read(1);
  const TestStream producer, consumer;
  const TestEvent produced, consumed;
  EXPECT_CUDA(launch(producer.stream, 1, 1, 0, set_kernel, shared.get(), 1));
  EXPECT_CUDA(cudaEventRecord(produced.event, producer.stream));
  if (wait_to_read) {
    EXPECT_CUDA(cudaStreamWaitEvent(consumer.stream, produced.event));
  }
  EXPECT_CUDA(launch(consumer.stream, 1, 1, 0, copy_kernel, read.get(), shared.get()));
  EXPECT_CUDA(cudaEventRecord(consumed.event, consumer.stream));
  if (wait_to_overwrite) {
    EXPECT_CUDA(cudaStreamWaitEvent(producer.stream, consumed.event));
  }
  EXPECT_CUDA(launch(producer.stream, 1, 1, 0, set_kernel, shared.get(), 2));
  EXPECT_CUDA(cudaStreamSynchronize(consumer.stream));
  const int first = read.read()[0];
  EXPECT_CUDA(cudaStreamSynchronize(producer.stream));
  return {first, shared.read()[0]};
}

TEST_F(Streams, a_missing_event_wait_gives_wrong_data_in_some_order) {
  const std::vector<int> right = {1, 2};
  std::set<std::string> early_reads, early_writes;
  for (const auto& order : kOrders) {
    set("ORDER", order);
    EXPECT_EQ(hand_over(true, true), right) << order;
    if (hand_over(false, true) != right) early_reads.insert(order);
    if (hand_over(true, false) != right) early_writes.insert(order);
  }
  // One order alone does not find both.
  EXPECT_TRUE(early_reads.contains("late") && !early_writes.contains("late"));
  EXPECT_TRUE(early_writes.contains("greedy"));
  EXPECT_FALSE(early_reads.contains("eager") || early_writes.contains("eager"));
}

TEST_F(Streams, an_event_stands_for_its_last_record_before_the_wait) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> value(1), early(1);
    const TestStream a, b;
    const TestEvent event;
    EXPECT_CUDA(cudaEventQuery(event.event));                 // never recorded: complete
    EXPECT_CUDA(cudaStreamWaitEvent(b.stream, event.event));  // and nobody waits for it
    EXPECT_CUDA(launch(a.stream, 1, 1, 0, set_kernel, value.get(), 1));
    EXPECT_CUDA(cudaEventRecord(event.event, a.stream));
    EXPECT_CUDA(cudaStreamWaitEvent(b.stream, event.event));
    EXPECT_CUDA(launch(b.stream, 1, 1, 0, copy_kernel, early.get(), value.get()));
    EXPECT_CUDA(cudaEventRecord(event.event, b.stream));
    EXPECT_CUDA(cudaEventSynchronize(event.event));
    EXPECT_CUDA(cudaStreamSynchronize(a.stream));
    EXPECT_EQ(early.read()[0], 1) << order;
  }
}

TEST_F(Streams, asking_moves_work_on_but_does_not_wait) {
  set("ORDER", "late");
  const Values<int> value(1);
  const TestStream s;
  for (int i = 0; i < 3; ++i) {
    EXPECT_CUDA(launch(s.stream, 1, 1, 0, set_kernel, value.get(), i));
  }
  EXPECT_EQ(cudaStreamQuery(s.stream), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(s.stream), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(s.stream), cudaSuccess);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  EXPECT_EQ(value.read()[0], 2);
}

TEST_F(Streams, events_measure_time_and_refuse_what_has_none) {
  const TestStream s;
  const TestEvent begin, end, untimed(cudaEventDisableTiming), unused;
  float ms = -1;
  EXPECT_CUDA(cudaEventRecord(begin.event, s.stream));
  EXPECT_CUDA(cudaEventRecord(end.event, s.stream));
  EXPECT_CUDA(cudaEventRecord(untimed.event, s.stream));
  EXPECT_EQ(cudaEventElapsedTime(&ms, begin.event, end.event), cudaErrorNotReady);
  EXPECT_CUDA(cudaEventSynchronize(end.event));
  EXPECT_CUDA(cudaEventElapsedTime(&ms, begin.event, end.event));
  EXPECT_GE(ms, 0.0F);
  EXPECT_LT(ms, 1000.0F);
  EXPECT_EQ(cudaEventElapsedTime(&ms, begin.event, untimed.event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventElapsedTime(&ms, begin.event, unused.event), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
}

TEST_F(Streams, the_default_stream_and_blocking_streams_wait_for_each_other) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> list(3), length(std::vector<int>{0});
    const TestStream blocking(cudaStreamDefault);
    EXPECT_CUDA(launch(blocking.stream, 1, 1, 0, append_kernel, list.get(), length.get(), 1));
    EXPECT_CUDA(launch(nullptr, 1, 1, 0, append_kernel, list.get(), length.get(), 2));
    EXPECT_CUDA(launch(blocking.stream, 1, 1, 0, append_kernel, list.get(), length.get(), 3));
    EXPECT_CUDA(cudaStreamSynchronize(blocking.stream));
    EXPECT_EQ(list.read(), (std::vector<int>{1, 2, 3})) << order;
  }
}

TEST_F(Streams, work_of_a_destroyed_stream_still_runs) {
  set("ORDER", "late");
  const Values<int> value(1);
  {
    const TestStream s;
    EXPECT_CUDA(launch(s.stream, 1, 1, 0, set_kernel, value.get(), 5));
  }
  EXPECT_CUDA(cudaDeviceSynchronize());
  EXPECT_EQ(value.read()[0], 5);
  const auto nothing = reinterpret_cast<cudaStream_t>(value.get());
  EXPECT_EQ(cudaStreamSynchronize(nothing), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(nothing), cudaErrorInvalidResourceHandle);
}

TEST_F(Streams, pinned_memory_is_read_and_written_when_the_copy_runs) {
  set("ORDER", "late");
  Values<int> pinned(1, true), back(1, true);
  const Values<int> device(1);
  const TestStream s;
  pinned[0] = 1;
  EXPECT_CUDA(cudaMemcpyAsync(device.get(), pinned.get(), 4, cudaMemcpyHostToDevice, s.stream));
  EXPECT_CUDA(cudaMemcpyAsync(back.get(), device.get(), 4, cudaMemcpyDeviceToHost, s.stream));
  pinned[0] = 2;  // too early
  EXPECT_EQ(back[0], static_cast<int>(0xCDCDCDCDU));
  EXPECT_CUDA(cudaStreamSynchronize(s.stream));
  EXPECT_EQ(back[0], 2);
  EXPECT_EQ(counters().pageable_copies, 0);
}

TEST_F(Streams, pageable_memory_is_staged_at_once_and_complete_on_return) {
  set("ORDER", "late");
  const Values<int> device(1);
  const TestStream s;
  int from = 1, to = 0;
  EXPECT_CUDA(cudaMemcpyAsync(device.get(), &from, 4, cudaMemcpyHostToDevice, s.stream));
  from = 2;
  EXPECT_CUDA(cudaMemcpyAsync(&to, device.get(), 4, cudaMemcpyDeviceToHost, s.stream));
  EXPECT_EQ(to, 1);
  EXPECT_EQ(counters().pageable_copies, 2);
}

TEST_F(Streams, sets_and_copies_within_the_device) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Values<int> a(2), b(2);
    const TestStream s;
    EXPECT_CUDA(cudaMemsetAsync(a.get(), 1, 8, s.stream));
    EXPECT_CUDA(cudaMemcpyAsync(b.get(), a.get(), 4, cudaMemcpyDeviceToDevice, s.stream));
    EXPECT_CUDA(cudaMemcpyAsync(b.get() + 1, a.get(), 4, cudaMemcpyDefault, s.stream));
    EXPECT_CUDA(cudaStreamSynchronize(s.stream));
    EXPECT_EQ(b.read(), std::vector<int>(2, 0x01010101));
  }
}

}  // namespace
}  // namespace gembench::simulation
