/* Plans for eight experts on four GPUs, one of them at half the speed, and changes as little as that
 * takes. Build: cc example.c $(pkg-config --cflags --libs gembench-planner) */
#include <gembench/planner.h>
#include <stdio.h>

int main(void) {
  /* Two steps of one layer: tokens routed to each expert. */
  const int32_t loads[] = {90, 8, 7, 6, 5, 4, 3, 2, 60, 30, 9, 8, 7, 3, 2, 1};
  const double speeds[] = {1, 1, 1, 0.5};
  int64_t in_use[12], planned[12]; /* [layer][rank * slots]: three slots a GPU */
  char message[256];

  gembench_problem problem = gembench_no_problem();
  problem.loads32 = loads;
  problem.steps = 2;
  problem.layers = 1;
  problem.experts = 8;
  problem.ranks = 4;
  problem.slots = 3;
  problem.speeds = speeds;
  problem.strategy = "linear";
  if (gembench_plan(&problem, in_use, message, sizeof message) != GEMBENCH_OK) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }

  problem.strategy = "gem";
  problem.previous = in_use;
  problem.max_moves = 4; /* experts that change places, a layer */
  if (gembench_plan(&problem, planned, message, sizeof message) != GEMBENCH_OK) {
    fprintf(stderr, "%s\n", message); /* `planned` is a legal map nevertheless */
  }

  gembench_score before = gembench_no_score(), after = gembench_no_score();
  if (gembench_judge(&problem, in_use, &before, message, sizeof message) != GEMBENCH_OK ||
      gembench_judge(&problem, planned, &after, message, sizeof message) != GEMBENCH_OK) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  for (int rank = 0; rank < 4; ++rank) {
    printf("rank %d: experts", rank);
    for (int slot = 0; slot < 3; ++slot) printf(" %d", (int)planned[rank * 3 + slot]);
    printf("\n");
  }
  printf("step time %.1f -> %.1f (time of a token), %d experts moved\n", before.step_seconds,
         after.step_seconds, (int)after.moves);
  return after.step_seconds < before.step_seconds ? 0 : 1;
}
