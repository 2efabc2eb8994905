;; Logs sixteen thousand lines in each call, then hands back what it gets. The host must drop what is
;; too much, count it, escape the rest, and go on.
(module
  (import "sessiond:plugin/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "a flood\0awith a break and \1b[31mcolour")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 16000))
    (loop $more
      (call $log (i32.const 2) (i32.const 512) (i32.const 36))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (call $hand_back (local.get $list) (local.get $count))))
