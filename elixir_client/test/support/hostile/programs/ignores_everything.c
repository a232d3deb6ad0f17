/* Gets ready, and from then on ignores every signal that can be ignored, the end of its pipe and all that is said.
   Needs no answer to be hostile: it only never ends. */
#include "hostile.h"

int main(void) {
  for (int signal_number = 1; signal_number < 32; signal_number++) signal(signal_number, SIG_IGN);
  ready();
  answer_open();
  for (;;) pause();
}
