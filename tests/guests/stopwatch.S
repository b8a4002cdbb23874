/*
 * The stopwatch: a guest of one boot sector that keeps the time it was given. It reads the processor's clock for ever and
 * adds up at RUN, in 64 bits, the ticks between one reading and the next; a gap of more ticks than GAP is none of its own
 * time, as another ran meanwhile. Unlike a count of loops this does not depend on how fast it is emulated.
 */
	.code16
	.globl start

#define RUN 0x500
#define GAP 0x40000 /* 0.1 ms; a switch there and back that is shorter is lost in what is measured */

start:
	xorw %ax, %ax
	movw %ax, %ds
	cli
	rdtsc
again:
	movl %eax, %ebx		/* the reading before, in %ecx:%ebx */
	movl %edx, %ecx
	rdtsc
	movl %eax, %esi
	movl %edx, %edi
	subl %ebx, %esi
	sbbl %ecx, %edi
	jnz again
	cmpl $GAP, %esi
	ja again
	addl %esi, RUN
	adcl $0, RUN + 4
	jmp again

	.org 510
	.word 0xaa55
