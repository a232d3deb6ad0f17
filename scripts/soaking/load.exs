# The soak's load: processes that demand in every way there is and check what comes, and one that kills.

defmodule Soak.Sessions do
  # The sessions that all callers share; one that was killed is replaced by whoever notices.
  use Agent

  @graph %{
    "nodes" =>
      for(type <- ~w(plain waiting on-thread failing words numbers), do: %{"id" => type, "type" => type}),
    "edges" => []
  }

  def graph, do: @graph

  def start_link(instance, count) do
    owner = self()

    Agent.start_link(fn -> for place <- 1..count, into: %{}, do: {place, open(instance, owner)} end,
      name: __MODULE__
    )
  end

  defp open(instance, owner) do
    case Graphport.open(instance, @graph, owner: owner) do
      {:ok, session} -> session
      {:error, _engine_down} -> open(instance, owner)
    end
  end

  def any, do: Agent.get(__MODULE__, & &1, :infinity) |> Map.to_list() |> Enum.random()

  def renew(place, session, instance, owner) do
    Agent.update(
      __MODULE__,
      fn sessions ->
        if sessions[place] == session, do: %{sessions | place => open(instance, owner)}, else: sessions
      end,
      :infinity
    )
  end

  def close_all, do: Agent.get(__MODULE__, & &1) |> Map.values() |> Enum.each(&Graphport.close/1)
end

defmodule Soak.Caller do
  # One caller: picks something to do until it is told to stop, then waits for the question what is left in its mailbox.
  alias Graphport.Error
  alias Soak.{Ledger, Sessions}

  @patience_ms 60_000
  # Over 256 KiB a value travels in parts.
  @large 400_000

  def start(instance, seed, owner, stopped) do
    spawn_link(fn ->
      :rand.seed(:exsss, seed)
      loop(instance, owner, stopped)
    end)
  end

  defp loop(instance, owner, stopped) do
    if :atomics.get(stopped, 1) == 1 do
      send(owner, {:stopped, self()})
      receive(do: (:what_is_left -> send(owner, {:left, self(), mailbox()})))
    else
      {place, session} = Sessions.any()
      act(:rand.uniform(100), instance, session)
      unless Process.alive?(session.pid), do: Sessions.renew(place, session, instance, owner)
      loop(instance, owner, stopped)
    end
  end

  defp act(dice, _instance, session) when dice <= 35, do: wait_for(session)
  defp act(dice, _instance, session) when dice <= 65, do: several(session, :rand.uniform(8))
  defp act(dice, _instance, session) when dice <= 80, do: enumerate(session)
  defp act(dice, _instance, session) when dice <= 92, do: victim(session)
  defp act(_dice, instance, _session), do: own_session(instance)

  # -- demand/3 --------------------------------------------------------------------------------------------------

  defp wait_for(session) do
    node = Enum.random(~w(plain waiting on-thread failing))
    value = value()
    timeout = Enum.random([60_000, 60_000, 60_000, :rand.uniform(30) - 1])
    Ledger.begun(:demand)

    case Graphport.demand(session, node, inputs: %{node => inputs(node, value)}, timeout: timeout) do
      {:ok, %{"value" => got}} -> Ledger.ended(:demand, same(:demand, node, got, value))
      {:error, error} -> Ledger.ended(:demand, error)
    end
  end

  defp value do
    case :rand.uniform(20) do
      1 -> Graphport.bytes(:binary.copy(<<:rand.uniform(255)>>, @large + :rand.uniform(3_000_000)))
      2 -> %{"list" => Enum.to_list(1..200), "text" => String.duplicate("é", 1_000)}
      number -> number
    end
  end

  defp inputs("words", _value), do: %{"count" => :rand.uniform(2_000), "ms" => Enum.random([0, 0, 0, 1])}
  defp inputs("numbers", _value), do: %{"count" => :rand.uniform(300), "ms" => Enum.random([0, 0, 0, 1])}
  defp inputs(_plain, value), do: %{"value" => value}

  defp same(kind, node, got, value) do
    expected = if is_struct(value, Graphport.Bytes), do: value.data, else: value
    unless got == expected, do: Ledger.wrong("#{kind} of #{node} gave another value than it was given")
    :complete
  end

  # -- demand_async/3 --------------------------------------------------------------------------------------------

  defp several(session, count) do
    open =
      for _each <- 1..count, reduce: %{} do
        open ->
          node = Enum.random(~w(plain waiting on-thread failing words numbers))
          {ref, entry} = begin(session, node, inputs(node, value()))
          if ref, do: Map.put(open, ref, entry), else: open
      end

    collect(open)
  end

  defp begin(session, node, inputs) do
    timeout = Enum.random([:infinity, :infinity, :infinity, :rand.uniform(40)])
    Ledger.begun(:demand_async)

    case Graphport.demand_async(session, node, inputs: %{node => inputs}, tag: true, timeout: timeout) do
      {:ok, demand} ->
        if :rand.uniform(8) == 1, do: Graphport.cancel(demand)
        {demand.ref, %{demand: demand, node: node, inputs: inputs, chunks: []}}

      {:error, error} ->
        Ledger.ended(:demand_async, error)
        {nil, nil}
    end
  end

  defp collect(open) when open == %{}, do: :ok

  defp collect(open) do
    receive do
      {:graphport, ref, message} when is_map_key(open, ref) ->
        entry = open[ref]
        if :rand.uniform(300) == 1, do: Graphport.cancel(entry.demand)
        collect(heard(open, ref, entry, message))

      {:graphport, ref, message} ->
        Ledger.wrong("demand #{ref} got #{elem(message, 0)} after its last message")
        collect(open)
    after
      @patience_ms ->
        for {ref, %{node: node}} <- open, do: Ledger.wrong("demand #{ref} of #{node} was never answered")
    end
  end

  defp heard(open, ref, %{node: node} = entry, {:node_stream, node, chunk}),
    do: %{open | ref => %{entry | chunks: [chunk | entry.chunks]}}

  defp heard(open, ref, %{node: node} = entry, {:demand_complete, node, %{"value" => got}}) do
    if node in ~w(words numbers),
      do: check(node, Enum.reverse(entry.chunks), entry.inputs["count"]),
      else: same(:demand_async, node, got, entry.inputs["value"])

    Ledger.ended(:demand_async, :complete)
    Map.delete(open, ref)
  end

  defp heard(open, ref, %{node: node}, {:demand_error, node, %Error{} = error}) do
    Ledger.ended(:demand_async, error)
    Map.delete(open, ref)
  end

  # -- stream/3 --------------------------------------------------------------------------------------------------

  defp enumerate(session) do
    node = Enum.random(~w(words numbers))
    inputs = inputs(node, nil)
    options = [inputs: %{node => inputs}, window: Enum.random([1, 4, 32])]
    wanted = Enum.random([:all, :all, :rand.uniform(20)])
    Ledger.begun(:stream)
    chunks = Graphport.stream(session, node, options)

    if wanted == :all do
      check(node, Enum.to_list(chunks), inputs["count"])
      Ledger.ended(:stream, :complete)
    else
      check_beginning(node, Enum.take(chunks, wanted))
      Ledger.ended(:stream, :left)
    end
  rescue
    error in Error -> Ledger.ended(:stream, error)
  end

  defp check("numbers", chunks, count) do
    unless chunks == Enum.to_list(0..(count - 1)),
      do: Ledger.wrong("a stream of #{count} numbers came out wrong")
  end

  defp check("words", chunks, count) do
    unless Enum.join(chunks) == Enum.map_join(0..(count - 1), &"#{&1} "),
      do: Ledger.wrong("a stream of #{count} words came out wrong")
  end

  defp check_beginning("numbers", []), do: :ok
  defp check_beginning("numbers", chunks), do: check("numbers", chunks, length(chunks))

  defp check_beginning("words", chunks) do
    unless String.starts_with?(Enum.map_join(0..2_000, &"#{&1} "), Enum.join(chunks)),
      do: Ledger.wrong("a stream of words began wrong")
  end

  # -- callers that are killed -----------------------------------------------------------------------------------

  defp victim(session) do
    seed = {:rand.uniform(1_000_000), 0, 0}
    Ledger.begun(:killed_caller)

    {pid, monitor} =
      spawn_monitor(fn ->
        :rand.seed(:exsss, seed)
        node = Enum.random(~w(waiting on-thread words numbers))

        case Enum.random([:demand, :demand_async, :stream]) do
          :demand -> Graphport.demand(session, node, inputs: %{node => inputs(node, value())})
          :demand_async -> Graphport.demand_async(session, node, inputs: %{node => inputs(node, value())})
          :stream -> session |> Graphport.stream(node, inputs: %{node => inputs(node, 1)}) |> Enum.each(& &1)
        end

        Process.sleep(:infinity)
      end)

    receive(after: (:rand.uniform(12) - 1 -> Process.exit(pid, :kill)))
    # An error that a stream raised may have ended it before.
    receive(do: ({:DOWN, ^monitor, _, _, _} -> Ledger.ended(:killed_caller, :killed)))
  end

  # -- sessions that come and go ---------------------------------------------------------------------------------

  defp own_session(instance) do
    Ledger.begun(:session)

    case Graphport.open(instance, Sessions.graph()) do
      {:ok, session} ->
        {ref, entry} = begin(session, "words", inputs("words", nil))
        if :rand.uniform(2) == 1, do: Graphport.close(session)
        if ref, do: collect(%{ref => entry})
        Graphport.close(session)
        Ledger.ended(:session, :complete)

      {:error, error} ->
        Ledger.ended(:session, error)
    end
  end

  defp mailbox, do: receive(do: (message -> [message | mailbox()]), after: (0 -> []))
end

defmodule Soak.Killer do
  # Kills engines, session processes and engine owners in turn. An owner may end three times in five seconds for each
  # engine before its instance starts anew, so that the pauses are not too short.
  alias Soak.{Ledger, Sessions}

  @kinds [:engine, :session, :owner]

  def start(instance, seed, engines, pause_ms) do
    spawn_link(fn ->
      :rand.seed(:exsss, seed)
      loop(instance, engines, pause_ms, Stream.cycle(@kinds))
    end)
  end

  def kinds, do: @kinds

  defp loop(instance, engines, pause_ms, kinds) do
    receive do
      {:stop, from} -> send(from, :killer_stopped)
    after
      div(pause_ms, 2) + :rand.uniform(pause_ms) ->
        kill(hd(Enum.take(kinds, 1)), instance, :rand.uniform(engines) - 1)
        loop(instance, engines, pause_ms, Stream.drop(kinds, 1))
    end
  end

  defp kill(:engine, instance, index) do
    with {:ok, %{engines: engines}} <- Graphport.info(instance),
         %{os_pid: os_pid} when is_integer(os_pid) <- Enum.at(engines, index) do
      System.cmd("/bin/kill", ["-9", to_string(os_pid)], stderr_to_stdout: true)
      Ledger.note("killed engine")
    end
  end

  defp kill(:session, _instance, _index) do
    {_place, session} = Sessions.any()
    Process.exit(session.pid, :kill)
    Ledger.note("killed session")
  end

  defp kill(:owner, instance, index) do
    with pid when is_pid(pid) <- Process.whereis(Graphport.Instance.owner(instance, index)) do
      Process.exit(pid, :kill)
      Ledger.note("killed owner")
    end
  end
end
