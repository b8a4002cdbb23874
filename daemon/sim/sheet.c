/* Files of results. */
#include "sheet.h"

#include <errno.h>
#include <string.h>

#include "util.h"

int sheet_open(struct sheet *sheet, struct err *err)
{
	sheet->out = open_memstream(&sheet->text, &sheet->size);
	return sheet->out ? 0 : err_set(err, ERR_LIMIT, "no memory for results: %s", strerror(errno));
}

int sheet_write(struct sheet *sheet, const char *folder, const char *name, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name);
	int bad = fclose(steal(&sheet->out));
	_cleanup_free_ char *text = steal(&sheet->text);

	return bad ? err_set(err, ERR_LIMIT, "no memory for %s", path)
		   : file_replace(path, text, sheet->size, 0644, err);
}

void sheet_drop(struct sheet *sheet)
{
	if (sheet->out) {
		fclose(steal(&sheet->out));
		free(steal(&sheet->text));
	}
}
