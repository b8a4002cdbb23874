/* Shared by figure*.c only. */
#ifndef TENURE_SIM_FIGURE_INTERNAL_H
#define TENURE_SIM_FIGURE_INTERNAL_H

/* What an axis of time counts in. */
struct figure_unit {
	const char *name;
	int seconds;
};

/* The one in which a stretch of that many seconds has readable numbers. */
const struct figure_unit *figure_unit(double seconds);

#endif
