/*
 * The ticker: a guest of one boot sector. At every tick of the PC's timer (18.2 a second) it prints a line on the
 * serial port:
 *
 *	tick COUNT pm TIMER
 *
 * COUNT begins at 0 and lives in a register, so it goes on after a suspend and begins again after a boot. TIMER is the
 * ACPI power management timer (3579545 Hz, 24 bits, 0 when the machine is switched on, standing still while it is
 * paused): the first line's TIMER says how long the guest had been running when it was printed. The timer is at the
 * port QEMU's firmware gives it.
 */
	.code16
	.globl start

#define COM1 0x3f8
#define PM_TIMER 0x608
#define BIOS_TICKS 0x46c

start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7c00, %sp
	xorl %edi, %edi		/* COUNT */

	/* 115200 baud, 8N1, no interrupts */
	movw $(COM1 + 3), %dx
	movb $0x80, %al
	outb %al, %dx
	movw $COM1, %dx
	movb $1, %al
	outb %al, %dx
	incw %dx
	xorb %al, %al
	outb %al, %dx
	movw $(COM1 + 3), %dx
	movb $3, %al
	outb %al, %dx

again:
	movw $PM_TIMER, %dx
	inl %dx, %eax
	andl $0xffffff, %eax
	pushl %eax
	movw $tick_text, %si
	call puts
	movl %edi, %eax
	call putnum
	movw $pm_text, %si
	call puts
	popl %eax
	call putnum
	movw $end_text, %si
	call puts
	incl %edi

	movl BIOS_TICKS, %ebx
wait:
	sti
	hlt
	cmpl BIOS_TICKS, %ebx
	je wait
	jmp again

/* %si: text ending in NUL */
puts:
	lodsb
	testb %al, %al
	jz 1f
	call putc
	jmp puts
1:	ret

/* %eax as decimal */
putnum:
	xorl %edx, %edx
	movl $10, %ecx
	divl %ecx
	pushw %dx
	testl %eax, %eax
	jz 1f
	call putnum
1:	popw %ax
	addb $'0', %al
	/* falls into putc */

/* %al */
putc:
	movb %al, %ah
	movw $(COM1 + 5), %dx
1:	inb %dx, %al
	testb $0x20, %al
	jz 1b
	movb %ah, %al
	movw $COM1, %dx
	outb %al, %dx
	ret

tick_text:
	.asciz "tick "
pm_text:
	.asciz " pm "
end_text:
	.asciz "\r\n"

	.org 510
	.word 0xaa55
