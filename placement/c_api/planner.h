/* The planner as a C library: expert loads and speeds in, a map of experts to slots out.
 *
 * Needs no MPI and no HDF5, opens no file, reads no environment variable, prints nothing, and keeps
 * no state: any thread may call anything at any time. Calls with the same arguments return the same
 * map, on every machine and with any number of threads, unless a time limit ends one of them: ranks
 * that each plan for themselves must not set one.
 *
 * Maps are what engines call phy2log or physical_to_logical_map: int64 [layer][slot], all slots of
 * rank 0 first. Slot p lies on rank p / slots; -1 is an empty slot, used on dead ranks only. Every
 * expert has at least one slot, and never two on one rank.
 */
#ifndef GEMBENCH_PLANNER_H
#define GEMBENCH_PLANNER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Counts additions and changes of this header; gembench_planner_version() is the library's. */
#define GEMBENCH_PLANNER_VERSION 1

#if defined(__GNUC__)
#define GEMBENCH_EXPORT __attribute__((visibility("default")))
#else
#define GEMBENCH_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Results of a call. */
enum {
  GEMBENCH_OK = 0,
  /* The map is the previous one, repaired if it was illegal, or without a previous one experts in
   * order. The message says why: the time limit, or what the strategy refused. */
  GEMBENCH_FALLBACK = 1,
  /* The arguments make no problem, a name of no strategy among them, or memory ran out; nothing was
   * written but the message. */
  GEMBENCH_REFUSED = 2
};

/* What to plan for; gembench_no_problem() is a start, since zero is the default of every field.
 * Arrays are row-major, stay the caller's and are only read during the call. */
typedef struct gembench_problem {
  size_t struct_size; /* sizeof(gembench_problem) as the caller was compiled */

  /* Tokens routed to each expert, [step][layer][expert], as int32 or int64: exactly one of the two.
   * Steps without any tokens are left out, and their order does not matter. Rows may be all zero.
   * Loads above 2^30 a step and layer are scaled down together. */
  const int32_t* loads32;
  const int64_t* loads64;
  int64_t steps;
  int32_t layers;
  int32_t experts;
  int32_t steps_in_row; /* steps that every row of the loads is the sum of; 0 = 1 */

  int32_t ranks;
  int32_t slots;  /* of a rank: physical experts / ranks. At most `experts` */
  int32_t nodes;  /* strategy eplb-hier: ranks lie in equal blocks on nodes; 0 = 1 */
  int32_t groups; /* strategy eplb-hier: equal blocks of experts that stay on a node; 0 = nodes */

  /* [rank] relative speed, 1 = as fast as the table says; 0 = a dead rank, which holds nothing.
   * NULL: all 1. */
  const double* speeds;
  /* Seconds of a layer's experts on a rank at these loads (assignments to the rank in a step),
   * ascending from 0; latency is [rank][load_point]. NULL: a second a token. */
  const int64_t* load_points;
  int32_t load_point_count;
  const double* latency;

  /* The map that is in use, or NULL. An expert that stays on a rank keeps its slot there. */
  const int64_t* previous;
  /* With `previous`: change at most so many experts a layer, besides those that make it legal;
   * `strategy` is then only asked whether it looks at speeds. 0: plan afresh. */
  int32_t max_moves;

  const char* strategy; /* gem, gem+, eplb, eplb-hier, flashlb, vibe, linear, ..; NULL = gem */
  uint64_t seed;
  int32_t threads; /* 0: one per CPU */
  /* Seconds from when the strategy begins; 0: none. Looked at when a layer begins and ends, and now
   * and then within a search. Reading the problem before, and repairing the map and keeping slots
   * after, are not covered. */
  double time_limit;
} gembench_problem;

/* How a map does on a problem's loads, predicted. An expert's tokens are split evenly over its
 * slots, wherever they are. Times are in seconds; without a latency table, in the time of a token. */
typedef struct gembench_score {
  size_t struct_size;
  double step_seconds;    /* slowest rank of every layer, summed over layers; mean over steps */
  double imbalance;       /* max/mean of tokens over live ranks, mean over steps and layers */
  double balancedness;    /* mean/max of the same, as engines log it */
  double straggler_share; /* share of (step, layer) in which `straggler` is the slowest */
  int32_t straggler;      /* the rank that is slowest most often */
  int64_t moves;          /* experts that are on ranks where `previous` has not got them */
} gembench_score;

/* Structs with struct_size set and all else zero. */
static inline gembench_problem gembench_no_problem(void) {
  gembench_problem problem;
  memset(&problem, 0, sizeof problem);
  problem.struct_size = sizeof problem;
  return problem;
}
static inline gembench_score gembench_no_score(void) {
  gembench_score score;
  memset(&score, 0, sizeof score);
  score.struct_size = sizeof score;
  return score;
}

GEMBENCH_EXPORT uint32_t gembench_planner_version(void);

/* Writes `map` [layer][ranks * slots]. `message`, if not NULL, gets at most `message_size` bytes
 * of UTF-8 with the final zero: empty, or one sentence. */
GEMBENCH_EXPORT int gembench_plan(const gembench_problem* problem, int64_t* map, char* message,
                                  size_t message_size);

/* Judges any map whose every expert has a slot on a live rank, an engine's own too: an expert may be
 * on a rank twice. Returns GEMBENCH_OK or GEMBENCH_REFUSED. */
GEMBENCH_EXPORT int gembench_judge(const gembench_problem* problem, const int64_t* map,
                                   gembench_score* score, char* message, size_t message_size);

/* The inverse of a map: `slots_of` [layer][expert][width], slots in ascending order and then -1, and
 * `counts` [layer][expert]; either may be NULL. Returns the largest count, which `width` must
 * reach, or -1 if it does not, or for a slot that names no expert; then the arrays are not
 * written. */
GEMBENCH_EXPORT int64_t gembench_invert(const int64_t* map, int32_t layers, int32_t all_slots,
                                        int32_t experts, int32_t width, int64_t* slots_of,
                                        int64_t* counts);

#ifdef __cplusplus
}
#endif

#endif
