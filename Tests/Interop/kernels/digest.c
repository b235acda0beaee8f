// Runs every kernel of one table on deterministic inputs, or trains small models with kernels alone, and prints digests of all
// that comes out. Equal lines are equal bits.
//   digest [--set avx512|avx2|plain]                         a line for each kernel; 1 where memory around inputs matters
//   digest [--set NAME] --train mlp|cnn|gpt-block|lstm [--steps N]   a line for the weights after each step
//   digest --has NAME                                        0 where this processor has the set
#include "cases.h"

#include "training.h"

// The same cases in three surroundings. Only what counts is compared among them.
static int run_kernels(void) {
  int failed = 0;
  for (int i = 0; i < case_count; i++) {
    digest first = 0, all = 0;
    for (around = all_zero; around <= tails_foul; around++) {
      chance = (uint64_t)i;
      whole = valid = no_digest;
      cases = strays = 0;
      kernel_cases[i].run();
      if (around == all_zero) {
        first = valid;
        all = whole;
        printf("%-22s %016llx  %td cases\n", kernel_cases[i].name, (unsigned long long)all, cases);
      }
      if (valid != first) {
        failed = 1;
        fprintf(stderr, "%s: what lies %s changes its results\n", kernel_cases[i].name,
                around == slack_foul ? "behind its inputs" : "behind the width of rows");
      }
      if (strays) {
        failed = 1;
        fprintf(stderr, "%s: writes behind its outputs\n", kernel_cases[i].name);
      }
    }
  }
  return failed;
}

static int usage(void) {
  fprintf(stderr, "digest [--set NAME] [--train mlp|cnn|gpt-block|lstm] [--steps N] | --has NAME\n");
  return 2;
}

int main(int n, char **words) {
  const char *name = 0, *model = 0;
  int steps = 5;
  for (int i = 1; i < n; i += 2) {
    if (i + 1 == n) return usage();
    if (!strcmp(words[i], "--has")) return pm_kernels_named(words[i + 1]) ? 0 : 1;
    if (!strcmp(words[i], "--set")) {
      name = words[i + 1];
    } else if (!strcmp(words[i], "--train")) {
      model = words[i + 1];
    } else if (!strcmp(words[i], "--steps")) {
      steps = atoi(words[i + 1]);
    } else {
      return usage();
    }
  }
  set = name ? pm_kernels_named(name) : pm_kernels_best();
  if (!set) {
    fprintf(stderr, "this processor has no %s kernels\n", name);
    return 2;
  }
  if (!model) return run_kernels();
  for (size_t i = 0; i < sizeof(trainings) / sizeof(trainings[0]); i++) {
    if (strcmp(model, trainings[i].name)) continue;
    int code = trainings[i].run(steps);
    free_pieces_from(0);
    return code;
  }
  return usage();
}
