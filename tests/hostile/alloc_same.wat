;; Gives the host the same memory for everything. Nobody but itself must come to harm.
(module
  ;; allocating: (return (i32.const 4096))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
