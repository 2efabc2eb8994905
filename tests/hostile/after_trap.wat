;; Answers, and traps when it should clean up. The host must not take the answer.
(module
  (global $real (mut i32) (i32.const 0))
  ;; prelude
  (func (export "cabi_post_sessiond:plugin/before-append@0.1.0#before-append") (param i32)
    (if (global.get $real) (then (unreachable))))
  (func $answer (param $list i32) (param $count i32) (result i32)
    (global.set $real (i32.const 1))
    (call $hand_back (local.get $list) (local.get $count))))
