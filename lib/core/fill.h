/* Whose image is brought next, to nodes that nobody has chosen yet. */
#ifndef TENURE_FILL_H
#define TENURE_FILL_H

#include "trial.h"

/* At the end of a pass: if the link is idle, begins the transfer by which most VMs of the queue could start. */
void fill_link(struct trial *trial);

#endif
