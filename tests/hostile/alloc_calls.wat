;; Calls the host from its allocator, while the host calls it. The host must not be entered twice.
(module
  (import "sessiond:plugin/call@0.1.0" "remaining-ms" (func $left (result i32)))
  ;; allocating: (if (i32.eq (local.get 3) (i32.const 4)) (then (drop (call $left))))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
