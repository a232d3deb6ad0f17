defmodule Graphport.Instance.Pool do
  # Which engines an instance has, and which of them a session goes to: the one with the least to do. Plain functions
  # over the tables `engines` and `placements`; owners say what has become of their engine, sessions ask for a place,
  # callers look up pipes. Must not wait, and must not touch demands.
  #
  # An engine takes sessions in as long as it has a row in `placements`. One that has none may still be up: it is being
  # drained, its open demands go on, and so do their cancels and grants.
  @moduledoc false

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.Demands
  alias Graphport.Port.{Credit, Pipe}

  @type pipe :: {Instance.epoch(), Pipe.wire(), Credit.t()}

  # -- for owners ------------------------------------------------------------------------------------------------

  @doc "The engine is up: callers may write, and sessions may come."
  @spec up(Instance.t(), pipe, map) :: true
  def up(instance, {epoch, port, credit}, facts) do
    :ets.insert(instance.engines, {Instance.engine_of(epoch), :up, epoch, port, credit, facts})
    :ets.insert(instance.placements, {epoch, 0, false})
  end

  @doc "Whether the engine has said nothing for a while: then others are asked first."
  @spec silent(Instance.t(), Instance.epoch(), boolean) :: boolean
  def silent(instance, epoch, silent?), do: :ets.update_element(instance.placements, epoch, {3, silent?})

  @doc "The engine takes no more sessions in; those it has find another on their next use."
  @spec retire(Instance.t(), Instance.epoch()) :: term
  def retire(instance, epoch) do
    :ets.delete(instance.placements, epoch)
    :ets.match_delete(instance.routes, {:_, :_, :_, epoch, :_, :_, :_})
  end

  @doc "The engine is down, whichever of its lives it was."
  @spec down(Instance.t(), non_neg_integer, Error.t()) :: term
  def down(instance, index, error) do
    :ets.insert(instance.engines, {index, :down, error})
    of_engine = [{:==, Instance.engine_of(:"$1"), index}]
    :ets.select_delete(instance.placements, [{{:"$1", :_, :_}, of_engine, [true]}])
    :ets.select_delete(instance.routes, [{{:_, :_, :_, :"$1", :_, :_, :_}, of_engine, [true]}])
  end

  # -- for sessions ----------------------------------------------------------------------------------------------

  @doc """
  A place for a session, which counts it until it leaves. `:down` if no engine takes any now, an error if none will
  again.
  """
  @spec place(Instance.t()) :: {:ok, pipe} | :down | {:error, Error.t()}
  def place(instance) do
    case :ets.lookup(instance.placements, :closed) do
      [closed: error] -> {:error, error}
      [] -> instance |> candidates() |> least(instance)
    end
  end

  # With one engine there is nothing to compare.
  defp candidates(instance) do
    # Not the word that all are closed, which may come just now.
    case :ets.select(instance.placements, [{{:"$1", :_, :_}, [], [:"$_"]}]) do
      [_one] = places ->
        places

      places ->
        Enum.sort_by(places, fn {epoch, sessions, silent?} ->
          {silent?, sessions + Demands.count(instance, epoch)}
        end)
    end
  end

  defp least([], _instance), do: :down

  defp least([{epoch, _sessions, _silent?} | others], instance) do
    with {port, credit} <- Instance.pipe(instance, epoch), true <- moved(instance, epoch, 1) do
      {:ok, {epoch, port, credit}}
    else
      # It has gone down meanwhile.
      _gone -> least(others, instance)
    end
  end

  @doc "The session is gone from there."
  @spec leave(Instance.t(), Instance.epoch()) :: term
  def leave(instance, epoch), do: moved(instance, epoch, -1)

  defp moved(instance, epoch, by) do
    _ = :ets.update_counter(instance.placements, epoch, {2, by})
    true
  rescue
    ArgumentError -> false
  end

  @doc "Whether sessions of this epoch may stay."
  @spec serves?(Instance.t(), Instance.epoch()) :: boolean
  def serves?(instance, epoch), do: :ets.member(instance.placements, epoch)

  @doc "No session is taken in any more, and none is found: the instance is stopping."
  @spec close(Instance.t(), Error.t()) :: true
  def close(instance, error) do
    :ets.insert(instance.placements, {:closed, error})
    :ets.select_delete(instance.placements, [{{:_, :_, :_}, [], [true]}])
    :ets.delete_all_objects(instance.routes)
  end

  # -- for questions ---------------------------------------------------------------------------------------------

  @doc "The pipes of all engines that are up, by index."
  @spec all(Instance.t()) :: [{non_neg_integer, pipe}]
  def all(instance) do
    rows = :ets.tab2list(instance.engines)
    Enum.sort(for {index, :up, epoch, port, credit, _facts} <- rows, do: {index, {epoch, port, credit}})
  end

  @doc "The pipe of any engine that is up, or why there is none."
  @spec any(Instance.t()) :: {:ok, pipe} | {:error, Error.t()}
  def any(instance) do
    rows = :ets.tab2list(instance.engines)
    up = for {_index, :up, epoch, port, credit, _facts} <- rows, do: {epoch, port, credit}

    case Enum.min_by(up, &doubts(instance, elem(&1, 0)), fn -> nil end) do
      nil -> {:error, rows |> Enum.min() |> elem(2)}
      pipe -> {:ok, pipe}
    end
  end

  # Best one that answers, then one that is being drained, then one that says nothing.
  defp doubts(instance, epoch) do
    case :ets.lookup(instance.placements, epoch) do
      [{_epoch, _sessions, false}] -> 0
      [] -> 1
      [{_epoch, _sessions, true}] -> 2
    end
  end

  @doc "What `Graphport.info/1` says of each engine, by index."
  @spec facts(Instance.t()) :: [map]
  def facts(instance) do
    for row <- instance.engines |> :ets.tab2list() |> Enum.sort_by(&elem(&1, 0)) do
      index = elem(row, 0)
      Map.merge(%{index: index, restarts: restarts(instance, index)}, facts(instance, row))
    end
  end

  defp facts(instance, {_index, :up, epoch, _port, credit, facts}) do
    {frames, bytes} = Credit.unread(credit)
    {status, sessions} = sessions(:ets.lookup(instance.placements, epoch))

    %{
      status: status,
      error: nil,
      os_pid: facts["os_pid"],
      version: facts["version"],
      open_demands: Demands.count(instance, epoch),
      sessions: sessions,
      unread_frames: frames,
      unread_bytes: bytes
    }
  end

  defp facts(_instance, {_index, :down, error}) do
    counts = %{open_demands: 0, sessions: 0, unread_frames: 0, unread_bytes: 0}
    Map.merge(counts, %{status: :down, error: error, os_pid: nil, version: nil})
  end

  defp sessions([{_epoch, sessions, _silent?}]), do: {:up, sessions}
  defp sessions([]), do: {:draining, 0}

  defp restarts(instance, index), do: max(:atomics.get(instance.starts, index + 1) - 1, 0)
end
