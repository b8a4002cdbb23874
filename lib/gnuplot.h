/* Figures by gnuplot. */
#ifndef TENURE_GNUPLOT_H
#define TENURE_GNUPLOT_H

#include "err.h"

/*
 * Runs the script, a file in the folder, with that as its working directory, and waits until it has ended. 1: there is
 * no gnuplot on this machine; -1 and ERR_INTERNAL: it could not be started or failed.
 */
int gnuplot_run(const char *folder, const char *script, struct err *err);

#endif
